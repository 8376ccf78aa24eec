"""`kerasft launch`."""

import sys

import click


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-n", "--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- fit …")
def launch(workers, command):
    """Start several local workers of one training run.

    \b
    kerasft launch -n 2 -- fit --task sentiment --data films.csv

    They train one model in step, as workers on several machines would: a way to try that on one. Their lines are
    shown with [0], [1] before them; Ctrl-C reaches all. Each worker uses every core unless OMP_NUM_THREADS and
    TF_NUM_INTRAOP_THREADS say less. On several machines, start `kerasft fit` on each, by srun or with TF_CONFIG set.
    """
    from kerasft.errors import KerasftError
    from kerasft.training.launch import TRAINS
    from kerasft.training.launch import launch as launch_workers

    if command and command[0] in TRAINS and {"-n", "--workers"} & set(command):
        raise KerasftError(
            f"-n belongs to launch: put it before the command, as in `kerasft launch -n 2 -- {command[0]} …`."
        )
    status = launch_workers(command, workers)
    if status:
        sys.exit(status)

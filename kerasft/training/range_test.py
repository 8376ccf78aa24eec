"""`kerasft fit --find-lr`: the learning-rate range test on the real rows, for the plan's last phase."""

import importlib.util
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerasft import run as runs
from kerasft.tasks import find_task
from kerasft.training.devices import choose_xla
from kerasft.training.find_rate import Found, find_rate, plot, write_table
from kerasft.training.order import new_order
from kerasft.training.phases import frontier
from kerasft.training.progress import Bar, Say, say
from kerasft.training.ready import Ready, examples, ready

_STEPS = 100


def search_rate(
    task: str | None = None,
    data: Any = None,
    *,
    eval_data: Any = None,
    backbone: str | None = None,
    recipe: str | Path | Mapping[str, Any] | None = None,
    seed: int | None = None,
    output: str | Path | None = None,
    on_bad_row: str = "error",
    report: Say = say,
    **settings: Any,
) -> tuple[Found, Path, Path | None]:
    """Tries 100 updates of the last phase at rates that grow from tiny to huge, and keeps nothing but the curve.

    The arguments are those of `kerasft.fit`; `output` is the folder for the curve, `runs/<task>-rates-<n>` when None.

    Returns:
        What was found, the table's path, and the plot's, None where matplotlib is not installed.

    Raises:
        KerasftError: as `kerasft.fit`.
    """
    sources = {"data": data, "eval_data": eval_data, "test_data": None}
    order = new_order(task, backbone, recipe, seed, settings, output, sources, on_bad_row)
    folder = (
        order.folder if output else runs.next_folder(order.folder.parent, f"{find_task(order.recipe.task).name}-rates")
    )
    with ready(order, report) as here:
        found = _search(here)
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "learning_rates.csv"
    write_table(found, table)
    if importlib.util.find_spec("matplotlib") is None:
        report("No plot: matplotlib is not installed (pip install 'kerasft[report]').")
        return found, table, None
    picture = folder / "learning_rates.png"
    plot(found, picture)
    return found, table, picture


def _search(here: Ready) -> Found:
    """The test itself; the network is left as it went through it."""
    import tempfile

    import numpy as np

    from kerasft.data.pipeline import shuffled_batches
    from kerasft.lora import add_lora
    from kerasft.network import depths, freeze, full_model
    from kerasft.training.optimizer import RATE_OVER_ADAMW, make_optimizer, settable_rate
    from kerasft.training.shares import training_dataset
    from kerasft.training.step import make_trainable

    recipe, network, learning = here.recipe, here.network, here.recipe.learning
    phase = learning.phases[-1]
    line = frontier(phase, len(network.backbone.blocks))
    freeze(network, line)
    if phase.lora:
        add_lora(network, line, phase.lora, seed=recipe.seed)
    here.report(f"Trying {_STEPS} learning rates with the last phase unfrozen ({phase.unfrozen}).")
    with tempfile.TemporaryDirectory(prefix="kerasft-") as folder:
        train, _ = examples(here, Path(folder) / "tokens")

        def batches():
            for epoch in itertools.count():
                lengths = train.encoded.group_lengths
                yield from shuffled_batches(lengths, learning.batch_size, recipe.seed, epoch, learning.batch_tokens)

        optimizer = make_optimizer(learning, phase, _STEPS, depths(network))
        rate = settable_rate(optimizer)
        machine, loss, whole = recipe.machine, here.task.loss(recipe.label_smoothing), bool(here.task.contrast)
        xla = choose_xla(machine, here.strategy, whole)
        model = full_model(network, frozen_below=line.block, recompute=machine.gradient_checkpointing)
        trainable = make_trainable(model, loss, learning.clip_norm, xla, machine.precision == "fp16", whole)
        trainable.compile(optimizer=optimizer)
        optimizer.build(trainable.trainable_variables)
        trainable.make_train_function()
        rows = iter(training_dataset(here.strategy, train, _tokens, batches, learning.accumulate, xla, whole))
        factor = RATE_OVER_ADAMW[learning.optimizer]
        with Bar("learning rates", _STEPS, report=here.report) as bar:

            def step(now: float) -> float:
                here.stop.check()
                rate.assign(np.float32(now))
                loss = float(trainable.train_function(rows)["loss"])
                bar.move(1, f"loss {loss:.4f} at {now:.1e}")
                return loss

            return find_rate(step, _STEPS, 1e-7 * factor, 1.0 * factor)


def _tokens(train: Any, rows: Any) -> Mapping[str, Any]:
    from kerasft.data.pipeline import token_batch

    return token_batch(train.encoded, rows)

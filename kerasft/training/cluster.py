"""The workers of one run: who they are (TF_CONFIG, Slurm), how they join, and what a user reads when one is gone."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kerasft.errors import KerasftError
from kerasft.training.reachable import check_reachable, ending_a_hang, refusal
from kerasft.training.slurm import slurm_step

HEARTBEAT_SECONDS = 30
"""Without a sign of life for so long, a worker counts as dead. A killed process mostly shows at once: its connection
breaks while an operation waits for it."""

_EXPECTED = (
    'expected {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, '
    "the same cluster on every worker"
)


@dataclass(frozen=True)
class Cluster:
    """The processes that train one model in step.

    Attributes:
        workers: "host:port" of each; the same on every worker.
        index: of this process.
    """

    workers: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this worker alone writes."""
        return self.index == 0


def find_cluster(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """Reads the cluster that this process belongs to.

    Args:
        environment: `TF_CONFIG` (as TensorFlow defines it; a task of type "chief" is worker 0) wins over the variables
            that Slurm's `srun` sets for each task of a step.

    Returns:
        The cluster, of one worker even; None where the environment names none, or a Slurm step of one task.

    Raises:
        KerasftError: a description that cannot be used.
    """
    if environment.get("TF_CONFIG", "").strip():
        return _from_tf_config(environment["TF_CONFIG"])
    if environment.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        return Cluster(*slurm_step(environment))
    return None


def _from_tf_config(text: str) -> Cluster | None:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise KerasftError(f"TF_CONFIG is not JSON ({error}): {_EXPECTED}.") from None
    if isinstance(found, dict) and not found.get("cluster"):
        return None
    cluster = found.get("cluster") if isinstance(found, dict) else None
    _require(isinstance(cluster, dict), f"found {text.strip()[:80]!r}")
    others = sorted(set(cluster) - {"chief", "worker"})
    _require(not others, f"found the job '{''.join(others[:1])}'; kerasft has 'worker' and one 'chief'")
    for job, addresses in cluster.items():
        _require(isinstance(addresses, list) and addresses, f"found {addresses!r} as the addresses of '{job}'")
    _require(len(cluster.get("chief", [0])) == 1, "found more than one chief")
    workers = (*cluster.get("chief", []), *cluster.get("worker", []))
    for address in workers:
        _require(_is_address(address), f"found {address!r} as an address")
    _require(len(set(workers)) == len(workers), "found one address twice")

    task = found.get("task")
    _require(isinstance(task, dict), f"found {task!r} as the task")
    kind, number = task.get("type"), str(task.get("index"))
    _require(kind in cluster, f"found a task of type {kind!r}, which the cluster does not have")
    _require(
        number.isdecimal() and int(number) < len(cluster[kind]),
        f"found the task {kind} {number}; the cluster has {len(cluster[kind])} of them, counted from 0",
    )
    before = len(cluster.get("chief", [])) if kind == "worker" else 0
    return Cluster(workers, before + int(number))


def _require(holds: Any, found: str) -> None:
    if not holds:
        raise KerasftError(f"TF_CONFIG cannot be used: {found}; {_EXPECTED}.")


def _is_address(address: Any) -> bool:
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536 and not re.search(r"[\s/]", host)


def connect(cluster: Cluster, seconds: float = 60):
    """Joins the other workers. The first thing to do with TensorFlow: no tensor, variable or list of devices before.

    Each worker uses all GPUs that it sees; workers that share a host need their own (`srun --gpus-per-task=1`, or
    `CUDA_VISIBLE_DEVICES`). Messages go in a ring, by NCCL between GPUs.

    Args:
        cluster: from `find_cluster`.
        seconds: to wait for the others, and again for TensorFlow's own start.

    Returns:
        A `tf.distribute.MultiWorkerMirroredStrategy`. From now on a worker that dies or hangs ends every collective
        operation of the others with an error: at once or, at worst, soon after `HEARTBEAT_SECONDS`.

    Raises:
        KerasftError: a worker that does not answer, or TensorFlow was used before.
    """
    import tensorflow as tf

    # Physical devices: asking for the logical ones would start TensorFlow's runtime.
    gpus = len(tf.config.list_physical_devices("GPU"))
    # Only now: importing TensorFlow takes its time, and the workers go on together from here.
    check_reachable(cluster.workers, cluster.index, seconds)
    line = f"The {len(cluster.workers)} workers answered, yet TensorFlow did not start on all within {seconds + 15:g} s"
    with ending_a_hang(seconds + 15, f"Error: {line}: see what the other workers say."), _own_sigterm():
        try:
            return _strategy(tf, cluster, gpus, seconds)
        except tf.errors.OpError as error:
            if "gRPC server" in error.message:
                address = cluster.workers[cluster.index]
                raise KerasftError(f"TensorFlow cannot open {address}, the port of worker {cluster.index}.") from error
            if len(cluster.workers) == 1:
                raise
            raise KerasftError(f"The workers could not start together. {_blame(cluster, error.message)}") from error
        except RuntimeError as error:
            if "startup" not in str(error):
                raise
            raise KerasftError(
                "TensorFlow was used before the workers joined: call fit first, in a fresh process."
            ) from error


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Puts back what SIGTERM does: TensorFlow's service takes it for itself, and the process would then ignore it."""
    mine = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if mine and before is not None:
            signal.signal(signal.SIGTERM, before)


def _strategy(tf, cluster: Cluster, gpus: int, seconds: float):
    from tensorflow.python.eager import context  # the service's time limits have no public door

    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=int(seconds * 1000),
        heartbeat_timeout_in_ms=HEARTBEAT_SECONDS * 1000,
        coordinated_jobs=[
            context.coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=len(cluster.workers))
        ],
    )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.workers)}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
        num_accelerators={"GPU": gpus},
    )
    ways = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(implementation=ways.AUTO if gpus else ways.RING)
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver, communication_options=options)


@contextmanager
def naming_the_dead(cluster: Cluster | None, run: str | os.PathLike) -> Iterator[None]:
    """Turns TensorFlow's error at a broken cluster into one line that names the worker and the way on.

    Args:
        cluster: None leaves every error as it is.
        run: the run folder, for the message.

    Raises:
        KerasftError: instead of the error of a collective operation that was given up.
    """
    try:
        yield
    except Exception as error:
        message = getattr(error, "message", None) or str(error)
        broken = "Collective ops is aborted" in message or type(error).__name__ == "UnavailableError"
        # An error of this worker alone aborts its own operations too: it is told as it is.
        if cluster is None or not broken or not _gone(cluster, message):
            raise
        raise KerasftError(
            f"{_blame(cluster, message)} The last checkpoint is kept: mend the cause, start all workers again and "
            f"continue with --resume {os.fspath(run)}"
        ) from error


def _blame(cluster: Cluster, message: str) -> str:
    others = [index for index in range(len(cluster.workers)) if index != cluster.index]
    gone = _gone(cluster, message) or others
    return f"Worker {gone[0]} ({cluster.workers[gone[0]]}) stopped answering."


def _gone(cluster: Cluster, message: str) -> list[int]:
    """The workers that TensorFlow's message names, else those whose port is closed."""
    # The own task is named too: as the place of the operation that failed.
    named = [int(found) for found in re.findall(r"/task:(\d+)", message)]
    gone = [index for index in named if index != cluster.index and index < len(cluster.workers)]
    if not gone and "CoordinationService/Heartbeat" in message and not cluster.is_chief:
        gone = [0]
    others = [index for index in range(len(cluster.workers)) if index != cluster.index]
    return gone or [index for index in others if refusal(cluster.workers[index])]

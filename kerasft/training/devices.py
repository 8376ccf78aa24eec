"""Where a run trains, and in which precision: one device, several in step, or several machines."""

import contextlib
import functools
import time
from collections.abc import Iterator

import numpy as np

from kerasft.errors import KerasftError
from kerasft.training.recipe import Machine

_POLICIES = {"float32": "float32", "bf16": "mixed_bfloat16", "fp16": "mixed_float16"}
# bfloat16 rounds to three digits: it has to be worth it.
_WORTH = 1.15
_TENSOR_CORES_WITH_BF16 = (8, 0)
_OTHER_ROWS = "This worker's rows are not the chief's: give every worker the same files."


def choose_strategy(machine: Machine, cluster):
    """Makes the strategy of a run. To be called before TensorFlow has looked for devices.

    Args:
        machine: `strategy` and `devices`.
        cluster: a `kerasft.training.cluster.Cluster`, or None.

    Returns:
        A `tf.distribute.Strategy`; TensorFlow's default one for a single device.

    Raises:
        KerasftError: devices or workers that are not there.
    """
    import tensorflow as tf

    if machine.strategy == "multiworker" and cluster is None:
        raise KerasftError(
            "strategy: multiworker needs the workers' addresses in TF_CONFIG or Slurm's variables; found neither. "
            "For a trial on this machine: kerasft launch -n 2 -- fit …"
        )
    if machine.devices is not None:
        _limit_devices(machine.devices)
    if cluster is not None and machine.strategy in ("auto", "multiworker"):
        from kerasft.training.cluster import connect

        return connect(cluster)
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if machine.strategy == "mirrored" or (machine.strategy == "auto" and len(devices) > 1):
        return _mirrored(tuple(devices))
    return tf.distribute.get_strategy()


@functools.cache
def _mirrored(devices: tuple[str, ...]):
    """One strategy for all runs of a process: each new one numbers what its devices exchange from the start again, and
    TensorFlow remembers a number's shape and type. The second run would end with "Shape mismatch in the collective"
    where it differs from the first.
    """
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(list(devices))


def _limit_devices(count: int) -> None:
    """Shows TensorFlow so many GPUs, or makes so many logical CPU devices."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if 0 < len(gpus) < count:
        raise KerasftError(f"devices: {count} GPUs wanted, found {len(gpus)}. Pass a number up to {len(gpus)}.")
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    try:
        if gpus:
            tf.config.set_visible_devices(gpus[:count], "GPU")
        else:
            tf.config.set_logical_device_configuration(cpu, logical)
    except RuntimeError:
        # TensorFlow has started already (a notebook, a second run): what there is may do.
        found = len(tf.config.list_logical_devices("GPU" if gpus else "CPU"))
        if found != count:
            raise KerasftError(
                f"devices: {count} wanted, but TensorFlow has already started with {found} in this process. "
                "Start a fresh process for another number."
            ) from None


def choose_precision(machine: Machine) -> str:
    """`float32`, `bf16` or `fp16`: what the recipe says, or for `auto` what is faster here.

    Raises:
        KerasftError: float16 without a GPU.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if machine.precision == "fp16" and not gpus:
        raise KerasftError("precision: fp16 needs a GPU, found none. Pass precision=bf16 or precision=float32.")
    if machine.precision != "auto":
        return machine.precision
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return "bf16" if capability >= _TENSOR_CORES_WITH_BF16 else "float32"
    return "bf16" if _seconds_of_products(tf.float32) > _WORTH * _seconds_of_products(tf.bfloat16) else "float32"


def _seconds_of_products(dtype) -> float:
    """The least seconds of some matrix products of a small model's size, of several tries."""
    import tensorflow as tf

    rows, kernel = tf.ones([768, 384], dtype), tf.ones([384, 1536], dtype)

    @tf.function
    def products():
        hidden = rows
        for _ in range(4):
            hidden = tf.matmul(tf.matmul(hidden, kernel), kernel, transpose_b=True) * tf.cast(1e-3, dtype)
        return tf.reduce_sum(tf.cast(hidden, tf.float32))

    products()
    tries = []
    for _ in range(5):
        began = time.perf_counter()
        products().numpy()
        tries.append(time.perf_counter() - began)
    return min(tries)


def choose_xla(machine: Machine, strategy, together: bool = False) -> bool:
    """XLA pays on a single GPU; on CPUs and under a strategy it compiles more than it saves. What `together` makes
    several devices exchange within an update cannot be compiled."""
    import tensorflow as tf

    if together and strategy.num_replicas_in_sync > 1:
        return False
    if machine.xla == "auto":
        return strategy.num_replicas_in_sync == 1 and len(tf.config.list_logical_devices("GPU")) == 1
    return machine.xla == "on"


@contextlib.contextmanager
def precision_policy(precision: str) -> Iterator[None]:
    """Layers made inside compute in this precision; their weights stay float32."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def device_count(strategy) -> int:
    """Replicas of this process."""
    return len(strategy.extended.worker_devices) if strategy.num_replicas_in_sync > 1 else 1


def tokens_at_once() -> int:
    """How many tokens a device takes at once: more gain nothing in speed, and need memory for their activations.

    On a CPU measured from 256 to 4,096: from 512 down it loses; over 1,024 it gains 3 % at most, for 60 MB.
    """
    import tensorflow as tf

    return 16384 if tf.config.list_logical_devices("GPU") else 1024


def agreed(strategy, chief: bool, figures: list[float]) -> list[float]:
    """The chief's figures, on every worker."""
    import tensorflow as tf

    if device_count(strategy) == strategy.num_replicas_in_sync:
        return figures
    # float32 carries a float64 in two parts exactly enough to tell any two figures apart.
    high = np.float32(figures)
    parts = np.stack([high, np.float32(np.float64(figures) - high)])

    @tf.function
    def broadcast():
        def mine():
            context = tf.distribute.get_replica_context()
            first = tf.cast(tf.equal(context.replica_id_in_sync_group, 0), tf.float32)
            return context.all_reduce("SUM", parts * first * float(chief))

        return strategy.run(mine)

    high, low = strategy.experimental_local_results(broadcast())[0].numpy().astype(np.float64)
    return [float(figure) for figure in high + low]


def same_everywhere(strategy, chief: bool, fingerprint: str, otherwise: str = _OTHER_ROWS) -> None:
    """Checks that every worker has what the chief has.

    Args:
        fingerprint: of this worker's, 128 digits in hexadecimal.
        otherwise: the error's line.

    Raises:
        KerasftError: this worker's differ.
    """
    mine = [float(int(fingerprint[place : place + 6], 16)) for place in (0, 6, 64, 70)]
    if agreed(strategy, chief, mine) != mine:
        raise KerasftError(otherwise)


def describe_devices(strategy) -> str:
    """`, on 2 devices in step`, for the report; nothing for a single one."""
    count, here = strategy.num_replicas_in_sync, device_count(strategy)
    if count == 1:
        return ""
    return f", on {count} devices in step" + (f", {here} of them here" if here < count else "")

"""TensorBoard event files, written without the tensorboard package.

The format: TFRecords of `tensorflow.Event` (tensorflow/core/util/event.proto), the first of which names the version.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

FLUSH_SECONDS = 5.0
_PREFIX = "events.out.tfevents."
_VERSION = "brain.Event:2"
_BUCKETS = 30


class EventFile:
    """One event file, open for writing. A class because it holds the open file.

    What is flushed survives the death of the process. Nothing waits for longer than `FLUSH_SECONDS` as long as
    something is written or `flush_when_due` is called.
    """

    def __init__(self, folder: Path, first_step: int = 1):
        """Opens a new file beside those of earlier sessions of the same run.

        Args:
            folder: is made if missing; TensorBoard takes all event files in it as one run.
            first_step: what earlier files hold from this step on is void: it was written after the checkpoint that
                this session starts from, and is about to be written again.
        """
        import tensorflow as tf

        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{_PREFIX}{_stamp(folder):010d}.{os.getpid()}.kerasft"
        self._file = tf.io.TFRecordWriter(str(self.path))
        self._flushed = 0.0
        self._write(0, file_version=_VERSION)
        # TensorBoard drops the points from a START's step on.
        self._write(first_step, session_log={"status": "START"})
        self.flush()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one number for each tag."""
        if values:
            self._write(step, summary={"value": [{"tag": tag, "simple_value": v} for tag, v in values.items()]})

    def histogram(self, step: int, tag: str, values: np.ndarray) -> None:
        """Writes how `values` spread; those that are not finite are left out, and nothing is written of none."""
        values = np.asarray(values, np.float64).ravel()
        values = values[np.isfinite(values)]
        if not len(values):
            return
        counts, edges = np.histogram(values, bins=_BUCKETS)
        spread = {
            "min": values.min(),
            "max": values.max(),
            "num": len(values),
            "sum": values.sum(),
            "sum_squares": np.square(values).sum(),
            "bucket_limit": edges[1:],
            "bucket": counts,
        }
        self._write(step, summary={"value": [{"tag": tag, "histo": spread}]})

    def flush(self) -> None:
        """Hands everything to the operating system."""
        self._file.flush()
        self._flushed = time.monotonic()

    def flush_when_due(self) -> None:
        """Flushes if the last time was `FLUSH_SECONDS` ago."""
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def close(self) -> None:
        """Flushes and closes; nothing may be written afterwards."""
        self._file.close()

    def _write(self, step: int, **content) -> None:
        from tensorflow.core.util import event_pb2

        event = event_pb2.Event(wall_time=time.time(), step=step, **content)
        self._file.write(event.SerializeToString())
        self.flush_when_due()


def _stamp(folder: Path) -> int:
    """Seconds since 1970, but later than every file that is there: TensorBoard reads them in the order of names."""
    stamps = [path.name.removeprefix(_PREFIX).partition(".")[0] for path in folder.glob(f"{_PREFIX}*")]
    return max([int(time.time()), *(int(stamp) + 1 for stamp in stamps if stamp.isdigit())])

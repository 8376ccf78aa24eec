"""The Keras callback that counts updates, watches the loss, feeds the bar and the curves, and writes checkpoints."""

import math
import signal
import time
from collections.abc import Sequence

import numpy as np

from kerasft.network import depths
from kerasft.training.checkpoint import State
from kerasft.training.job import Job
from kerasft.training.keep import keep_checkpoint
from kerasft.training.progress import Bar
from kerasft.training.tracking import depth_name, measures_updates, snapshot
from kerasft.training.watch import check_finite

# A long epoch is saved in the middle too, whatever `save_steps` says.
_SAVE_SECONDS = 600
_OVERFLOWS = 30


def make_keeper():
    """The callback of a run. `begin` is called before each `fit` of an epoch."""
    import keras

    class Keeper(keras.callbacks.Callback):
        def begin(self, job: Job, state: State, batches: Sequence[np.ndarray], lengths: np.ndarray, bar: Bar) -> None:
            """Tells of the epoch (or the rest of one) that `fit` is about to run."""
            self.job, self.state, self.batches, self.lengths, self.bar = job, state, batches, lengths, bar
            self.began = self.saved = time.monotonic()
            self.overflows = 0

        @property
        def rate(self) -> float:
            """Rows a second since `begin`."""
            return sum(map(len, self.batches)) / max(time.monotonic() - self.began, 1e-9)

        def on_train_batch_begin(self, batch, logs=None):
            if self.job.stop.asked is not None:
                self.model.stop.assign(1.0)
            self.before = None
            if self.job.chief and measures_updates(batch, len(self.batches)):
                self.before = snapshot(self.model.trainable_variables)

        def on_train_batch_end(self, batch, logs=None):
            job, state, rows = self.job, self.state, self.batches[batch]
            loss = float(logs["loss"])
            self.overflows = 0 if math.isfinite(loss) else self.overflows + 1
            # A scaled loss may overflow now and then: its scale is halved until it does not.
            if not job.scaled or self.overflows > _OVERFLOWS:
                check_finite(loss, "loss", f"at step {state.step + 1}", state.phase)
            if math.isfinite(loss):
                state.loss += loss * len(rows)
                state.rows += len(rows)
            state.step += 1
            state.updates += 1
            self.bar.move(len(rows), f"loss {loss:.4f}")
            stopping = bool(logs["stop"])
            if stopping:
                # Another worker may have been asked: all leave after the same update.
                job.stop.asked = job.stop.asked or signal.SIGTERM
            curves = {
                "loss": loss,
                "gradient_norm": logs["gradient_norm"],
                "learning_rate": lambda: self.model.optimizer.learning_rate,
            }
            job.tracker.step(state.updates, curves, len(rows), int(self.lengths[rows].sum()))
            if self.before is not None:
                variables, levels = self.model.trainable_variables, depths(job.network)
                blocks = len(job.network.backbone.blocks)
                names = [depth_name(levels[variable.path], blocks) for variable in variables]
                job.tracker.updates(state.updates, self.before, snapshot(variables), names)
            self._keep(job, state, stopping)
            if stopping:
                job.stop.check()

        def _keep(self, job: Job, state: State, stopping: bool) -> None:
            steps = job.recipe.machine.save_steps
            due = steps and state.updates % steps == 0
            if due or stopping or time.monotonic() - self.saved > _SAVE_SECONDS:
                with self.bar.paused():
                    keep_checkpoint(job, state, self.model)
                self.saved = time.monotonic()

    return Keeper()

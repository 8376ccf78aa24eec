"""A user's own Keras callbacks (Weights & Biases, MLflow, early stopping, …) in a run of many `model.fit` calls.

The engine calls `model.fit` once an epoch and with another model in each phase. A user's callback sees one training:
one begin, epochs numbered over the whole run, one end.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kerasft.errors import KerasftError


def run_callbacks(callbacks: Sequence | Any | None, own: Sequence = ()):
    """Makes the one callback list that every `model.fit` of a run is given.

    The engine calls, around its fits::

        calls = run_callbacks(user_callbacks, own=[engine_callback])
        for each phase:
            calls.begin_phase(model, number, epochs=of_the_run, steps=of_an_epoch, epoch=done, batch=done_of_it)
            for each epoch:
                model.fit(..., callbacks=calls)
                calls.end_epoch({"val_loss": ..., "learning_rate": ...})   # after the evaluation
                if calls.stopped: break
        calls.end_run()

    Args:
        callbacks: the user's `keras.callbacks.Callback` objects, or one of them, or None.
        own: the engine's, which see each fit as Keras tells it, before the user's, and get the logs of a batch as
            tensors: to fetch them is theirs.

    Returns:
        A `keras.callbacks.CallbackList` with `begin_phase`, `end_epoch`, `end_run` and `stopped`.

    Raises:
        KerasftError: something that is not a Keras callback.
    """
    import keras

    users = [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks or ())
    for callback in users:
        if not isinstance(callback, keras.callbacks.Callback):
            raise KerasftError(
                f"callbacks: expected keras.callbacks.Callback objects, found {type(callback).__name__}. Pass an "
                "instance of a subclass of keras.callbacks.Callback."
            )
    batch_hooks = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
    # Whoever watches batches makes the run wait for each; so only those who do are called.
    watchers = [callback for callback in users if any(_overrides(callback, hook) for hook in batch_hooks)]

    class RunCallbacks(keras.callbacks.CallbackList):
        """See `run_callbacks`.

        Attributes:
            stopped: a user's callback has set `model.stop_training` in this phase.
        """

        def __init__(self):
            super().__init__([*own], add_history=True)
            self.stopped = self._begun = self._in_epoch = False
            self._phase = self._epoch = self._batch = self._begin = 0
            self._logs: dict[str, Any] = {}

        def begin_phase(self, model, number: int, *, epochs: int, steps: int, epoch: int, batch: int = 0) -> None:
            """Tells of a phase's model, and at the first call that the training begins.

            Args:
                model: is trained from now on.
                number: of the phase, from 1.
                epochs: of the whole run.
                steps: updates of one epoch of this phase.
                epoch: epochs of the whole run that are done.
                batch: updates of the next epoch that are done, when the run resumes within one.
            """
            model.stop_training = self.stopped = False
            self._phase, self._epoch, self._batch, self._in_epoch = number, epoch, batch, False
            self.set_model(model)
            self.set_params({"verbose": 0, "epochs": epochs, "steps": steps})
            for callback in users:
                callback.set_model(model)
                callback.set_params(self.params)
            if not self._begun:
                self._begun = True
                self._tell(users, "on_train_begin", {})

        def end_epoch(self, values: Mapping[str, Any]) -> None:
            """Tells the users' callbacks that an epoch is over, evaluation included.

            Args:
                values: join the logs of fit (`loss`): `val_loss`, `val_<headline>`, `learning_rate`, …
            """
            self._logs = {**self._logs, **values, "phase": self._phase}
            self._tell(users, "on_epoch_end", self._epoch, dict(self._logs))
            self._epoch, self._batch, self._in_epoch = self._epoch + 1, 0, False

        def end_run(self) -> None:
            """Tells the users' callbacks that the training is over."""
            if self._begun:
                self._begun = False
                self._tell(users, "on_train_end", dict(self._logs))

        def on_train_begin(self, logs=None):
            for callback in self.callbacks:
                callback.on_train_begin(logs)
            # Keras' fit has just cleared the flag that a user's callback may have set before it.
            self.model.stop_training = self.model.stop_training or self.stopped

        def on_epoch_begin(self, epoch, logs=None):
            for callback in self.callbacks:
                callback.on_epoch_begin(epoch, logs)
            if not self._in_epoch:
                self._in_epoch = True
                self._tell(users, "on_epoch_begin", self._epoch, {})

        def on_train_batch_begin(self, batch, logs=None):
            self._begin = batch
            for callback in self.callbacks:
                callback.on_train_batch_begin(batch, logs)
            if watchers:
                self._tell(watchers, "on_train_batch_begin", self._batch, {})

        def on_train_batch_end(self, batch, logs=None):
            for callback in self.callbacks:
                callback.on_train_batch_end(batch, logs)
            # With several steps in one execution Keras tells of the first and of the last.
            self._batch += batch - self._begin
            if watchers:
                self._tell(watchers, "on_train_batch_end", self._batch, _floats(logs))
            self._batch += 1

        def on_epoch_end(self, epoch, logs=None):
            self._logs = _floats(logs)
            for callback in self.callbacks:
                callback.on_epoch_end(epoch, dict(self._logs))

        def on_train_end(self, logs=None):
            for callback in self.callbacks:
                callback.on_train_end(_floats(logs))

        def _tell(self, listeners, hook: str, *arguments) -> None:
            wanted, self.model.stop_training = self.model.stop_training, False
            for callback in listeners:
                getattr(callback, hook)(*arguments)
            self.stopped = self.stopped or self.model.stop_training
            self.model.stop_training = wanted or self.stopped

    return RunCallbacks()


def _overrides(callback, hook: str) -> bool:
    import keras

    # A LambdaCallback has the function on the instance: then there is no `__func__`, or another one.
    return getattr(getattr(callback, hook), "__func__", None) is not getattr(keras.callbacks.Callback, hook)


def _floats(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """For a user's eyes: what the engine tells itself by way of the logs is left out."""
    return {name: float(value) for name, value in (logs or {}).items() if name != "stop"}

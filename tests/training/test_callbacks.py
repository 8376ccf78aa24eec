import keras
import numpy as np
import pytest

from kerasft.errors import KerasftError
from kerasft.training.callbacks import run_callbacks


class Recorder(keras.callbacks.Callback):
    """Writes down what it is told."""

    def __init__(self, watch_batches=True):
        super().__init__()
        self.told = []
        if watch_batches:
            self.on_train_batch_begin = lambda batch, logs=None: self.told.append(("batch", batch))
            self.on_train_batch_end = lambda batch, logs=None: self.told.append(("batch done", batch, logs))

    def on_train_begin(self, logs=None):
        self.told.append(("train", self.model.name, self.params))

    def on_epoch_begin(self, epoch, logs=None):
        self.told.append(("epoch", epoch, self.model.name, self.params["steps"]))

    def on_epoch_end(self, epoch, logs=None):
        self.told.append(("epoch done", epoch, logs))

    def on_train_end(self, logs=None):
        self.told.append(("train done", self.model.name, logs))

    def named(self, *names):
        return [entry for entry in self.told if entry[0] in names]


def make_model(name):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name=name)
    model.compile("sgd", "mse")
    return model


def fit_once(model, calls, updates):
    model.fit(np.ones((4 * updates, 2)), np.ones((4 * updates, 1)), batch_size=4, epochs=1, verbose=0, callbacks=calls)


def run_two_phases(calls, epochs=2):
    """As the engine does it: a model a phase, a fit an epoch."""
    done, stopped = 0, []
    for number, (name, updates) in enumerate((("low", 3), ("high", 2)), start=1):
        model = make_model(name)
        calls.begin_phase(model, number, epochs=2 * epochs, steps=updates, epoch=done)
        for _ in range(epochs):
            fit_once(model, calls, updates)
            calls.end_epoch({"val_loss": 0.5, "val_accuracy": 0.9, "learning_rate": 1e-3})
            done += 1
            if calls.stopped:
                break
        stopped.append(calls.stopped)
    calls.end_run()
    return stopped


def test_two_phases_look_like_one_training():
    recorder = Recorder()
    run_two_phases(run_callbacks([recorder]))
    order = [entry[0] for entry in recorder.told if not entry[0].startswith("batch")]
    assert order == ["train", *["epoch", "epoch done"] * 4, "train done"]
    assert recorder.told[0] == ("train", "low", {"verbose": 0, "epochs": 4, "steps": 3})
    assert recorder.named("epoch") == [
        ("epoch", 0, "low", 3),
        ("epoch", 1, "low", 3),
        ("epoch", 2, "high", 2),
        ("epoch", 3, "high", 2),
    ]
    ends = recorder.named("epoch done")
    assert [epoch for _, epoch, _ in ends] == [0, 1, 2, 3]
    assert [logs["phase"] for *_, logs in ends] == [1, 1, 2, 2]
    assert all({"loss", "val_loss", "val_accuracy", "learning_rate"} <= set(logs) for *_, logs in ends)
    assert recorder.told[-1][1] == "high"
    assert "val_loss" in recorder.told[-1][2]


def test_batches_are_numbered_within_their_epoch_and_come_with_floats():
    recorder = Recorder()
    run_two_phases(run_callbacks([recorder]), epochs=1)
    assert [batch for _, batch in recorder.named("batch")] == [0, 1, 2, 0, 1]
    assert all(isinstance(logs["loss"], float) for *_, logs in recorder.named("batch done"))


def test_an_epoch_in_several_fits_is_one_epoch():
    recorder = Recorder()
    calls = run_callbacks([recorder])
    model = make_model("resumed")
    calls.begin_phase(model, 2, epochs=9, steps=6, epoch=4, batch=1)
    fit_once(model, calls, 2)
    fit_once(model, calls, 3)
    calls.end_epoch({})
    fit_once(model, calls, 2)
    assert [entry[1] for entry in recorder.named("epoch")] == [4, 5]
    assert [batch for _, batch in recorder.named("batch")] == [1, 2, 3, 4, 5, 0, 1]


def test_the_engines_own_callback_sees_every_fit_and_tensors():
    seen = []

    class Own(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append(("train", self.model.name))

        def on_train_batch_end(self, batch, logs=None):
            seen.append(("batch", batch, type(logs["loss"])))

        def on_epoch_end(self, epoch, logs=None):
            seen.append(("epoch", epoch))

    run_two_phases(run_callbacks([], own=[Own()]), epochs=1)
    assert [entry[:2] for entry in seen if entry[0] != "batch"] == [
        ("train", "low"),
        ("epoch", 0),
        ("train", "high"),
        ("epoch", 0),
    ]
    assert not any(entry[2] is float for entry in seen if entry[0] == "batch")


class StopAt(keras.callbacks.Callback):
    """Wants to stop at one event of the first phase."""

    def __init__(self, hook):
        super().__init__()
        setattr(self, hook, self.stop)
        self.batches, self.asked = 0, False

    def stop(self, *_, **__):
        if not self.asked:
            self.asked = self.model.stop_training = True


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_epoch_end"])
def test_a_callback_that_stops_ends_its_phase_and_not_the_next(hook):
    recorder = Recorder()
    stopped = run_two_phases(run_callbacks([StopAt(hook), recorder]))
    assert stopped == [True, False]
    assert [entry[2] for entry in recorder.named("epoch")] == ["low", "high", "high"]
    first = recorder.told.index(("epoch", 1, "high", 2))
    updates = sum(entry[0] == "batch" for entry in recorder.told[:first])
    assert updates == (3 if hook == "on_epoch_end" else 1)
    assert recorder.told[-1][0] == "train done"


def test_the_engine_that_stops_is_not_taken_for_a_user():
    class Own(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    recorder = Recorder()
    calls = run_callbacks([recorder], own=[Own()])
    model = make_model("low")
    calls.begin_phase(model, 1, epochs=1, steps=3, epoch=0)
    fit_once(model, calls, 3)
    assert len(recorder.named("batch done")) == 1
    assert model.stop_training
    assert not calls.stopped


def test_keras_own_early_stopping_works():
    stopped = run_two_phases(run_callbacks(keras.callbacks.EarlyStopping("val_loss", patience=1)), epochs=4)
    assert stopped == [True, True]


def test_a_callback_that_does_not_watch_batches_fetches_none():
    calls = run_callbacks([Recorder(watch_batches=False)])
    calls.begin_phase(make_model("low"), 1, epochs=1, steps=1, epoch=0)
    calls.on_train_batch_begin(0)
    calls.on_train_batch_end(0, {"loss": "not a number, so that a fetch would fail"})


def test_what_is_no_callback_is_refused():
    with pytest.raises(KerasftError, match=r"keras\.callbacks\.Callback objects, found function"):
        run_callbacks([lambda epoch: None])


def test_no_callbacks_at_all():
    assert run_two_phases(run_callbacks(None)) == [False, False]

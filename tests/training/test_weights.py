"""Which weights a run moves, and that ways of saving time or memory move them to the same place."""

import keras
import numpy as np
import pytest

import kerasft
from kerasft.backbones.load import load_backbone
from kerasft.heads import pooled_head
from kerasft.network import Network
from kerasft.weights import network_weights
from tests.run_results import weights_of, write_bert
from tests.toy import toy_rows
from tests.toy_gpt2 import write_backbone


def fit(backbone, output, rows=48, callbacks=(), **settings):
    lines = []
    run = kerasft.fit(
        task="sentiment",
        data=toy_rows(rows),
        backbone=str(backbone),
        output=output,
        callbacks=callbacks,
        report=lines.append,
        **{"batch_size": 8, "precision": "float32", **settings},
    )
    return run, lines


def apart(run, other) -> dict[str, float]:
    """How far each weight of two runs differs at most."""
    ours, theirs = weights_of(run.folder), weights_of(other.folder)
    assert ours.keys() == theirs.keys()
    return {name: float(np.abs(ours[name] - theirs[name]).max()) for name in ours}


class Watched(keras.callbacks.Callback):
    """What the model of each epoch holds and trains, at its beginning and its end."""

    def __init__(self):
        super().__init__()
        self.before, self.after, self.trained, self.counts = [], [], [], []

    def values(self):
        return {weight.path: weight.numpy() for weight in self.model.weights if "seed" not in weight.path}

    def on_epoch_begin(self, epoch, logs=None):
        self.before.append(self.values())
        self.trained.append({weight.path for weight in self.model.trainable_variables})
        self.counts.append(sum(int(np.prod(weight.shape)) for weight in self.model.trainable_variables))

    def on_epoch_end(self, epoch, logs=None):
        self.after.append(self.values())


def moved(before, after) -> set[str]:
    return {path for path, value in before.items() if not np.array_equal(value, after[path])}


def test_frozen_weights_are_the_same_to_the_last_bit_after_each_phase(tall_backbone, tmp_path):
    watched = Watched()
    phases = [
        {"unfrozen": "head", "epochs": 1, "learning_rate": 1e-2},
        {"unfrozen": 2, "epochs": 1, "learning_rate": 5e-3},
        {"unfrozen": 2, "epochs": 1, "learning_rate": 5e-3, "lora": 2},
        {"unfrozen": 1, "epochs": 1, "learning_rate": 5e-3},
    ]
    # Without the cache the models hold every weight.
    run, _ = fit(tall_backbone, tmp_path / "run", callbacks=[watched], phases=phases, cache_gb=0)
    assert [phase["from_cache"] for phase in run.metrics["phases"]] == [False] * 4
    head = {"logits/kernel", "logits/bias"}
    for number, (before, after, trained) in enumerate(zip(watched.before, watched.after, watched.trained, strict=True)):
        assert head <= moved(before, after) <= trained, f"phase {number + 1}"
    for number, blocks in ((1, {"transformer_layer_2", "transformer_layer_3"}), (3, {"transformer_layer_3"})):
        assert {path.split("/")[0] for path in watched.trained[number] - head} == blocks
        # A kernel that stands still in an unfrozen block would be as wrong.
        kernels = {path for path in watched.trained[number] if path.endswith("kernel")}
        assert kernels <= moved(watched.before[number], watched.after[number])
    assert all("lora" in path for path in watched.trained[2] - head)

    # What no phase ever unfroze is what the backbone came with.
    backbone = load_backbone(tall_backbone)
    start = network_weights(Network(backbone, pooled_head(backbone.hidden_size, 2)))
    end = network_weights(run.network)
    changed = {
        one.path.split("/")[0]
        for one, other in zip(start, end, strict=True)
        if not np.array_equal(one.numpy(), other.numpy())
    }
    # Which of the others did depends on whose epoch was the best.
    assert {"logits"} <= changed <= {"logits", "transformer_layer_2", "transformer_layer_3"}


def test_the_default_plan_trains_as_many_weights_as_it_says(toy_backbone, tmp_path):
    watched = Watched()
    run, lines = fit(toy_backbone, tmp_path / "run", callbacks=[watched])
    first, second = run.metrics["phases"]
    assert [phase["unfrozen"] for phase in (first, second)] == ["head", 2]
    assert watched.counts == [34] * 2 + [second["trainable_parameters"]] * 2
    assert first["trainable_parameters"] == 34
    # All but the embeddings (tokens, positions, segments) and their norm.
    weights = network_weights(run.network)
    bottom = sum(int(np.prod(weight.shape)) for weight in weights if "embedding" in weight.path)
    assert second["trainable_parameters"] == second["parameters"] - bottom
    assert f"{second['trainable_parameters']:,} of {second['parameters']:,}" in "\n".join(lines)


@pytest.mark.parametrize(
    ("write", "top"),
    [(lambda path: write_bert(path, blocks=2, dropout=0.0), "bert"), (lambda path: write_backbone(path, 0.0), "gpt2")],
    ids=["bert", "gpt2"],
)
def test_from_the_cache_the_same_weights_are_learnt(write, top, tmp_path):
    backbone = write(tmp_path / top)
    phases = [
        {"unfrozen": "head", "epochs": 2, "learning_rate": 3e-3, "rows": 20},
        {"unfrozen": 1, "epochs": 1, "learning_rate": 2e-4},
    ]
    common = {"phases": phases, "dropout": 0.0, "batch_size": 8}
    cached, _ = fit(backbone, tmp_path / "cached", **common)
    plain, _ = fit(backbone, tmp_path / "plain", cache_gb=0, **common)
    assert [[phase["from_cache"] for phase in run.metrics["phases"]] for run in (cached, plain)] == [
        [True, True],
        [False, False],
    ]
    assert [run.metrics["phases"][0]["steps"] for run in (cached, plain)] == [2 * 3] * 2
    assert max(apart(cached, plain).values()) < 1e-4
    assert cached.metrics["metrics"]["log_loss"] == pytest.approx(plain.metrics["metrics"]["log_loss"], abs=1e-3)


def test_gradient_checkpointing_learns_the_same_weights(toy_backbone, tmp_path):
    phases = [
        {"unfrozen": 2, "epochs": 1, "learning_rate": 5e-3},
        {"unfrozen": "all", "epochs": 1, "learning_rate": 5e-3},
    ]
    # With dropout: what runs again must be dropped again.
    plain, again = (
        fit(toy_backbone, tmp_path / str(switch), phases=phases, gradient_checkpointing=switch)[0]
        for switch in (False, True)
    )
    assert max(apart(plain, again).values()) < 1e-5


def test_the_average_of_the_weights_is_what_is_kept(toy_backbone, tmp_path):
    seen = []

    class Head(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if not seen:
                seen.append(self.kernel())

        def on_train_batch_end(self, batch, logs=None):
            seen.append(self.kernel())

        def kernel(self):
            return next(weight.numpy() for weight in self.model.trainable_variables if weight.path == "logits/kernel")

    phases = [{"unfrozen": "head", "epochs": 1, "learning_rate": 1e-1}]
    run, _ = fit(toy_backbone, tmp_path / "run", callbacks=[Head()], phases=phases, ema=0.3)
    average = seen[0]
    for step, kernel in enumerate(seen[1:]):
        momentum = min(0.3, (1 + step) / (10 + step))
        average = momentum * average + (1 - momentum) * kernel
    kept = next(weight.numpy() for weight in network_weights(run.network) if weight.path == "logits/kernel")
    np.testing.assert_allclose(kept, average, atol=1e-6)
    assert np.abs(kept - seen[-1]).max() > 1e-3

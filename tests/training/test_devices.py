"""Devices and precisions that are there, and what a user reads when they are not."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasft
from kerasft.errors import KerasftError
from kerasft.training.devices import (
    agreed,
    choose_precision,
    choose_strategy,
    choose_xla,
    describe_devices,
    device_count,
    precision_policy,
    same_everywhere,
)
from kerasft.training.recipe import make_recipe
from tests.toy import toy_rows


def machine(**settings):
    return make_recipe({"task": "sentiment", **settings}).machine


def one_line(error) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def no_gpu():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("tells what happens without a GPU")


@pytest.fixture
def alone(monkeypatch):
    """No cluster in the environment."""
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"precision": "fp16"}, "precision: fp16 needs a GPU, found none. Pass precision=bf16 or precision=float32."),
        ({"strategy": "multiworker"}, "TF_CONFIG or Slurm's variables; found neither"),
        ({"devices": 3}, "devices: 3 wanted, but TensorFlow has already started with 1 in this process"),
    ],
)
def test_a_run_that_cannot_be_is_told_in_one_line_and_leaves_nothing(
    settings, said, no_gpu, alone, toy_backbone, tmp_path
):
    tf.constant(0)  # TensorFlow has started: its devices are what they are.
    with pytest.raises(KerasftError) as error:
        kerasft.fit(
            task="sentiment",
            data=toy_rows(40),
            backbone=str(toy_backbone),
            output=tmp_path / "run",
            report=lambda line: None,
            **settings,
        )
    assert said in one_line(error)
    assert not list(tmp_path.iterdir())


def test_more_gpus_than_there_are(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["one"] if kind == "GPU" else ["cpu"])
    with pytest.raises(KerasftError) as error:
        choose_strategy(machine(devices=2), cluster=None)
    assert one_line(error) == "devices: 2 GPUs wanted, found 1. Pass a number up to 1."


def test_the_devices_that_there_are_will_do_after_the_start(no_gpu):
    tf.constant(0)
    strategy = choose_strategy(machine(devices=1), cluster=None)
    assert strategy.num_replicas_in_sync == device_count(strategy) == 1
    assert not tf.distribute.has_strategy()
    assert describe_devices(strategy) == ""


def test_strategy_none_ignores_a_cluster(no_gpu):
    assert choose_strategy(machine(strategy="none"), cluster=object()).num_replicas_in_sync == 1


def test_precision_as_told_or_the_faster_one(no_gpu):
    assert choose_precision(machine(precision="float32")) == "float32"
    assert choose_precision(machine(precision="bf16")) == "bf16"
    assert choose_precision(machine()) in ("float32", "bf16")


@pytest.mark.parametrize(
    ("seconds", "expected"), [((1.0, 0.9), "float32"), ((1.0, 0.5), "bf16"), ((0.5, 1), "float32")]
)
def test_bfloat16_has_to_be_worth_it(seconds, expected, no_gpu, monkeypatch):
    taken = dict(zip((tf.float32, tf.bfloat16), seconds, strict=True))
    monkeypatch.setattr("kerasft.training.devices._seconds_of_products", taken.__getitem__)
    assert choose_precision(machine()) == expected


def test_a_precision_ends_with_its_run():
    before = keras.config.dtype_policy()

    def run():
        with precision_policy("bf16"):
            layer = keras.layers.Dense(2)
            layer.build((None, 3))
            assert (layer.compute_dtype, layer.kernel.dtype) == ("bfloat16", "float32")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        run()
    assert keras.config.dtype_policy() == before


def test_xla_as_told_and_off_without_a_gpu(no_gpu):
    strategy = tf.distribute.get_strategy()
    assert [choose_xla(machine(xla=word), strategy) for word in ("on", "off", "auto")] == [True, False, False]


def test_what_devices_exchange_within_an_update_is_not_compiled():
    one, two = (SimpleNamespace(num_replicas_in_sync=number) for number in (1, 2))
    assert choose_xla(machine(xla="on"), one, together=True)
    assert choose_xla(machine(xla="on"), two)
    assert not choose_xla(machine(xla="on"), two, together=True)


def test_one_process_agrees_with_itself():
    figures = [0.1, 1 / 3, float(np.nextafter(1.0, 2.0))]
    strategy = tf.distribute.get_strategy()
    assert agreed(strategy, True, figures) == figures
    same_everywhere(strategy, True, "0123456789abcdef" * 8)

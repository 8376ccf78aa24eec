"""The range test on functions whose best rates are known."""

import csv
import math
import sys

import numpy as np
import pytest

from kerasft.errors import KerasftError
from kerasft.training.find_rate import find_rate, plot, write_table


class Quadratic:
    """Gradient descent on half the sum of curvature * x ** 2: stable below the rate 2 / the largest curvature."""

    def __init__(self, curvatures=(1.0, 4.0, 20.0), noise=0.0, seed=0):
        self.curvatures = np.array(curvatures)
        self.place = np.ones(len(curvatures))
        self.noise, self.draw = noise, np.random.default_rng(seed)

    def step(self, rate):
        loss = 0.5 * np.sum(self.curvatures * self.place**2)
        self.place = self.place - rate * self.curvatures * self.place
        return loss * (1 + self.noise * self.draw.standard_normal())

    @property
    def limit(self):
        return 2 / self.curvatures.max()


def test_the_suggestion_is_in_the_stable_range_and_not_timid():
    problem = Quadratic()
    found = find_rate(problem.step, lowest=1e-6, highest=10.0)
    assert problem.limit / 200 < found.suggestion < problem.limit


@pytest.mark.parametrize("seed", range(10))
def test_noise_does_not_lead_astray(seed):
    problem = Quadratic(noise=0.1, seed=seed)
    found = find_rate(problem.step, lowest=1e-6, highest=10.0)
    assert problem.limit / 200 < found.suggestion < problem.limit


def test_rates_grow_exponentially_and_losses_are_those_seen():
    seen = []

    def step(rate):
        seen.append(rate)
        return 1.0

    found = find_rate(step, steps=50, lowest=1e-5, highest=1e-1)
    np.testing.assert_allclose(found.rates, seen)
    np.testing.assert_allclose(found.rates, 10 ** np.linspace(-5, -1, 50))
    np.testing.assert_array_equal(found.losses, np.ones(50))
    np.testing.assert_allclose(found.smoothed, np.ones(50))
    assert found.diverged_at is None


def test_a_loss_that_blows_up_ends_the_test():
    problem = Quadratic()
    calls = []

    def step(rate):
        calls.append(rate)
        return problem.step(rate)

    found = find_rate(step, lowest=1e-6, highest=1e3)
    assert found.diverged_at == calls[-1] == found.rates[-1]
    assert problem.limit < found.diverged_at < 100 * problem.limit
    assert len(calls) < 100


def test_a_narrow_fall_before_a_wild_blow_up_is_found():
    # What fine-tuning shows: a flat start, a short fall, then batches that jump between good and very bad.
    draw = np.random.default_rng(0)

    def step(rate):
        fall = 0.7 - 0.3 / (1 + (3e-4 / rate) ** 2)
        return fall + 0.02 * draw.standard_normal() if rate < 2e-3 else draw.choice([0.4, 0.8, 4.0])

    assert 1e-4 < find_rate(step).suggestion < 1e-3


def test_one_lucky_batch_at_the_start_does_not_end_the_test():
    problem = Quadratic()
    losses = []

    def step(rate):
        losses.append(problem.step(rate))
        return 0.01 if len(losses) == 1 else losses[-1]

    found = find_rate(step, lowest=1e-6, highest=10.0)
    assert found.diverged_at > problem.limit
    assert problem.limit / 200 < found.suggestion < problem.limit


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_test(bad):
    losses = iter([*np.linspace(1.0, 0.2, 30), bad])
    found = find_rate(lambda rate: next(losses))
    assert len(found.losses) == 31
    assert found.diverged_at == found.rates[-1]
    assert math.isnan(found.smoothed[-1])
    assert np.isfinite(found.smoothed[:-1]).all()
    assert found.rates[0] < found.suggestion < found.diverged_at


def test_a_loss_that_only_rises_has_no_suggestion():
    losses = iter(np.linspace(1.0, 3.0, 100))
    assert find_rate(lambda rate: next(losses)).suggestion is None


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_has_no_suggestion(seed):
    draw = np.random.default_rng(seed)
    assert find_rate(lambda rate: 1 + 0.1 * draw.standard_normal()).suggestion is None


def test_the_steepest_place_of_a_known_curve_is_found():
    # A logistic fall around 1e-3: its steepest place is known, smoothing must not move it by a third of a decade.
    found = find_rate(lambda rate: 1 / (1 + (rate / 1e-3) ** 2))
    assert abs(math.log10(found.suggestion / 1e-3)) < 1 / 3


def test_a_loss_that_is_bad_from_the_start_is_told():
    with pytest.raises(KerasftError, match="before any update"):
        find_rate(lambda rate: math.nan)


@pytest.mark.parametrize(
    "settings", [{"steps": 3}, {"lowest": 0.0}, {"lowest": 1.0, "highest": 0.1}, {"highest": math.inf}]
)
def test_numbers_that_do_not_fit_are_told(settings):
    with pytest.raises(KerasftError, match="learning-rate test expects"):
        find_rate(lambda rate: 1.0, **settings)


def test_the_table_holds_every_update(tmp_path):
    found = find_rate(Quadratic().step, lowest=1e-6, highest=10.0)
    with open(write_table(found, tmp_path / "learning_rates.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["learning_rate", "loss", "smoothed_loss"]
    np.testing.assert_allclose([float(row["learning_rate"]) for row in rows], found.rates, rtol=1e-5)
    np.testing.assert_allclose([float(row["loss"]) for row in rows], found.losses, rtol=1e-5)


def test_the_plot_is_a_png_with_the_table_beside_it(tmp_path):
    pytest.importorskip("matplotlib")
    for name, step in (("falls", Quadratic().step), ("flat", lambda rate: 1.0)):
        path = plot(find_rate(step, lowest=1e-6, highest=10.0), tmp_path / name / "learning_rates.png")
        assert path.read_bytes().startswith(b"\x89PNG")
        assert sorted(file.name for file in path.parent.iterdir()) == ["learning_rates.csv", "learning_rates.png"]


def test_without_matplotlib_the_extra_is_named_and_the_table_is_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(KerasftError, match=r"pip install 'kerasft\[report\]'"):
        plot(find_rate(Quadratic().step), tmp_path / "learning_rates.png")
    assert [file.name for file in tmp_path.iterdir()] == ["learning_rates.csv"]

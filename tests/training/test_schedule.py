"""Learning rates over the updates: the golden values, and what holds for every schedule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.errors import KerasftError
from kerasft.training.schedule import SCHEDULES, make_schedule, rates


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear", [0.5, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1, (1 + 2**-0.5) / 2, 0.5, (1 - 2**-0.5) / 2]),
        ("constant", [0.5, 1, 1, 1, 1]),
        ("one-cycle", [0.04, 1, 0.75 + 0.25e-4, 0.25 + 0.75e-4, 1e-4]),
    ],
)
def test_golden_values(name, expected):
    np.testing.assert_allclose(rates(name, 3.0, 5, 2), 3.0 * np.array(expected), rtol=1e-9)


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(SCHEDULES),
    peak=st.floats(1e-8, 10),
    steps=st.integers(1, 5000),
    warmup=st.floats(0, 1),
)
def test_every_update_learns_and_the_peak_is_reached_once(name, peak, steps, warmup):
    warmup_steps = round(warmup * steps)
    found = rates(name, peak, steps, warmup_steps)
    top = max(warmup_steps, 1) - 1
    assert found.shape == (steps,)
    assert (found > 0).all()
    assert found.max() == found[top] == pytest.approx(peak)
    assert (np.diff(found[: top + 1]) > 0).all()
    if name == "constant":
        assert (found[top:] == found[top]).all()
    else:
        assert (np.diff(found[top:]) < 0).all()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("steps", "warmup_steps"), [(1, 0), (1, 1), (7, 0), (7, 7), (1000, 100)])
def test_keras_sees_the_same_rates(name, steps, warmup_steps):
    schedule = make_schedule(name, 0.1, steps, warmup_steps)
    chosen = sorted({0, steps // 20, steps // 2, steps - 1})
    found = [float(schedule(step)) for step in chosen]
    np.testing.assert_allclose(found, rates(name, 0.1, steps, warmup_steps)[chosen], rtol=1e-4)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_last_of_very_many_updates_still_learns(name):
    assert float(make_schedule(name, 1e-5, 1_000_000, 1000)(999_999)) > 0


@pytest.mark.parametrize(("name", "after"), [("linear", 0), ("cosine", 0), ("constant", 1), ("one-cycle", 1e-4)])
def test_past_the_end_it_stays_there(name, after):
    for step in (10, 25):
        assert float(make_schedule(name, 1.0, 10, 1)(step)) == pytest.approx(after, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("cosin", 0.1, 10, 1), 'Did you mean "cosine"'),
        (("linear", 0.0, 10, 1), "above 0"),
        (("linear", float("inf"), 10, 1), "above 0"),
        (("linear", 0.1, 0, 0), "at least one update"),
        (("linear", 0.1, 10, 11), "11 of warm-up"),
    ],
)
def test_bad_settings_are_one_line(arguments, told):
    with pytest.raises(KerasftError, match=told) as caught:
        rates(*arguments)
    assert "\n" not in str(caught.value)

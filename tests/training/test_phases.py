"""The unfreezing plan."""

import numpy as np
import pytest

from kerasft.errors import KerasftError
from kerasft.training.optimizer import RATE_OVER_ADAMW
from kerasft.training.phases import Frontier, batch_size, cacheable, check_sizes, frontier, plan, rows_of
from kerasft.training.recipe import Phase, make_recipe


def recipe(**settings):
    return make_recipe({"task": "sentiment", **settings})


def parts(blocks=6, **settings):
    return [phase.unfrozen for phase in plan(recipe(**settings), blocks)]


def test_the_gradual_plan_goes_from_the_head_to_all_but_the_lowest_sixth():
    assert parts(blocks=12) == ["head", 10]
    assert parts(blocks=6) == ["head", 5]
    assert parts(blocks=4) == ["head", 4]


def test_a_head_learns_from_some_rows_the_blocks_from_all():
    head, blocks = plan(recipe(), 6)
    chosen = rows_of(head, 5000, seed=3, number=1)
    assert len(set(chosen.tolist())) == len(chosen) == 2048
    assert (np.diff(chosen) > 0).all()
    assert 4000 < chosen[-1] < 5000
    assert chosen.tolist() == rows_of(head, 5000, seed=3, number=1).tolist()
    assert chosen.tolist() != rows_of(head, 5000, seed=4, number=1).tolist()
    assert rows_of(head, 2048, seed=3, number=1) is None
    assert rows_of(blocks, 5000, seed=3, number=2) is None


@pytest.mark.parametrize(
    ("name", "blocks", "expected"),
    [
        ("full", 6, ["all"]),
        ("head", 6, ["head"]),
        ("top-3", 6, ["head", 3]),
        ("top-6", 6, ["head", 6]),
        ("ulmfit", 3, ["head", 1, 2, 3, "all"]),
        ("auto", 6, ["head", 3, 6]),
        ("auto", 1, ["head", 1]),
        ("gradual", 1, ["head", 1]),
        ("ulmfit", 1, ["head", 1, "all"]),
        ("scratch", 6, ["all"]),
    ],
)
def test_what_each_plan_unfreezes(name, blocks, expected):
    assert parts(blocks, plan=name) == expected


def test_full_fine_tuning_has_one_rate_for_all_layers_unless_told_otherwise():
    assert plan(recipe(plan="full"), 6)[0].layer_decay == 1.0
    # Absent in the phase, the run's own holds.
    assert plan(recipe(plan="full", layer_decay=0.8), 6)[0].layer_decay is None


def test_ulmfit_takes_an_epoch_a_layer_and_learns_slower_below():
    phases = plan(recipe(plan="ulmfit"), 3)
    assert all(phase.epochs == 1 and phase.layer_decay == pytest.approx(1 / 2.6) for phase in phases)


def test_auto_moves_on_when_an_epoch_brings_nothing():
    assert all(phase.patience == 1 and phase.epochs > 3 for phase in plan(recipe(plan="auto"), 6))


@pytest.mark.parametrize("name", ["gradual", "full", "head", "top-2", "ulmfit", "auto", "adapt", "scratch"])
def test_epochs_and_learning_rate_are_the_last_phases(name):
    own = plan(recipe(plan=name), blocks=4)
    *earlier, last = plan(recipe(plan=name, epochs=7, learning_rate=1e-6), blocks=4)
    assert (last.epochs, last.learning_rate) == (7, 1e-6)
    assert tuple(earlier) == own[:-1]
    assert last.unfrozen == own[-1].unfrozen


@pytest.mark.parametrize("optimizer", sorted(set(RATE_OVER_ADAMW) - {"adamw"}))
def test_other_optimizers_get_their_own_rates(optimizer):
    factor = RATE_OVER_ADAMW[optimizer]
    for phase, adamw in zip(plan(recipe(optimizer=optimizer), 4), plan(recipe(), 4), strict=True):
        assert phase.learning_rate == pytest.approx(adamw.learning_rate * factor)
    # What the user says is taken as it is.
    assert plan(recipe(optimizer=optimizer, learning_rate=0.25), 4)[-1].learning_rate == 0.25
    spelt = [{"unfrozen": "head", "epochs": 1, "learning_rate": 0.125}]
    assert plan(recipe(optimizer=optimizer, phases=spelt), 4)[0].learning_rate == 0.125


@pytest.mark.parametrize(
    "settings",
    [{"phases": [{"unfrozen": 7, "epochs": 1, "learning_rate": 1e-3}]}, {"plan": "top-7"}],
)
def test_more_blocks_than_the_backbone_has_is_told_before_training(settings):
    with pytest.raises(KerasftError, match=r"7 blocks.* 'minilm' has 6\. Pass a number up to 6"):
        plan(recipe(**settings), blocks=6)


@pytest.mark.parametrize("unfrozen", ["head", "all"])
def test_factors_go_into_blocks(unfrozen):
    phases = [{"unfrozen": unfrozen, "epochs": 1, "learning_rate": 1e-3, "lora": 4}]
    with pytest.raises(KerasftError, match=rf"Phase 1 has 'lora' with unfrozen: {unfrozen}.*up to 6"):
        plan(recipe(phases=phases), blocks=6)
    phases[0]["unfrozen"] = 2
    assert plan(recipe(phases=phases), blocks=6)[0].lora == 4


@pytest.mark.parametrize(
    ("unfrozen", "expected"),
    [("head", Frontier(6, False)), (2, Frontier(4, False)), (6, Frontier(0, False)), ("all", Frontier(0, True))],
)
def test_where_a_phase_cuts(unfrozen, expected):
    assert frontier(Phase(unfrozen=unfrozen, epochs=1, learning_rate=1.0), blocks=6) == expected


def test_little_data_gets_smaller_batches_unless_the_recipe_says():
    assert batch_size(recipe(), 1_000) < batch_size(recipe(), 10_000)
    assert batch_size(recipe(batch_size=7), 1_000) == 7


@pytest.mark.parametrize(
    ("settings", "rows", "replicas", "said"),
    [
        ({"batch_size": 8, "accumulate": 9}, 100, 1, r"^accumulate: 9 .* need 9 rows .*batches of 8 rows"),
        ({"batch_size": 8, "accumulate": 3}, 100, 4, r"3 micro-batches an update on 4 devices need 12 rows"),
        ({"batch_size": 64, "accumulate": 32}, 20, 1, r"need 32 rows or more; there are 20 rows of data in all"),
    ],
)
def test_more_pieces_than_rows_are_one_line(settings, rows, replicas, said):
    with pytest.raises(KerasftError, match=said) as caught:
        check_sizes(recipe(**settings), rows, replicas)
    assert "\n" not in str(caught.value)


def test_as_many_pieces_as_rows_will_do():
    check_sizes(recipe(batch_size=8, accumulate=4), 100, 2)
    check_sizes(recipe(batch_size=32, accumulate=20), 20, 1)


def test_states_stored_at_the_start_are_not_used_once_what_lies_below_has_been_trained():
    head, top, every, embeddings = Frontier(6, False), Frontier(3, False), Frontier(0, False), Frontier(0, True)
    assert cacheable([head, top, every, embeddings]) == [True, True, True, False]
    assert cacheable([top, head, top]) == [True, False, True]
    assert cacheable([embeddings, head]) == [False, False]

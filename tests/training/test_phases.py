"""The unfreezing plan."""

import pytest

from kerasft.errors import KerasftError
from kerasft.training.phases import Frontier, batch_size, cacheable, frontier, plan
from kerasft.training.recipe import Phase, make_recipe


def test_the_gradual_plan_goes_from_the_head_to_every_block():
    phases = plan(make_recipe({"task": "sentiment"}), blocks=12)
    assert [phase.unfrozen for phase in phases] == ["head", 12]


def test_epochs_and_learning_rate_are_the_last_phases():
    recipe = make_recipe({"task": "sentiment", "epochs": 7, "learning_rate": 1e-6})
    *earlier, last = plan(recipe, blocks=12)
    assert (last.epochs, last.learning_rate) == (7, 1e-6)
    assert all(phase.learning_rate > 1e-6 for phase in earlier)


def test_a_backbone_of_one_block_has_a_plan_too():
    assert [phase.unfrozen for phase in plan(make_recipe({"task": "sentiment"}), 1)] == ["head", 1]


def test_more_blocks_than_the_backbone_has_is_told_before_training():
    recipe = make_recipe({"task": "sentiment", "phases": [{"unfrozen": 7, "epochs": 1, "learning_rate": 1e-3}]})
    with pytest.raises(KerasftError, match=r"7 blocks.* has 6"):
        plan(recipe, blocks=6)


@pytest.mark.parametrize(
    ("unfrozen", "expected"),
    [("head", Frontier(6, False)), (2, Frontier(4, False)), (6, Frontier(0, False)), ("all", Frontier(0, True))],
)
def test_where_a_phase_cuts(unfrozen, expected):
    assert frontier(Phase(unfrozen=unfrozen, epochs=1, learning_rate=1.0), blocks=6) == expected


def test_little_data_gets_smaller_batches_unless_the_recipe_says():
    recipe = make_recipe({"task": "sentiment"})
    assert batch_size(recipe, 1_000) < batch_size(recipe, 10_000)
    assert batch_size(make_recipe({"task": "sentiment", "batch_size": 7}), 1_000) == 7


def test_states_stored_at_the_start_are_not_used_once_what_lies_below_has_been_trained():
    head, top, every, embeddings = Frontier(6, False), Frontier(3, False), Frontier(0, False), Frontier(0, True)
    assert cacheable([head, top, every, embeddings]) == [True, True, True, False]
    assert cacheable([top, head, top]) == [True, False, True]
    assert cacheable([embeddings, head]) == [False, False]

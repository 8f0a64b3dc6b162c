"""Every reasoning-gym family: which have levels of their own, and which cannot be used, and why."""

from typing import Any

import pytest
from reasoning_gym.factory import DATASETS, create_curriculum, has_curriculum

from stages.contracts.params.task import ReasoningGymTask, ReasoningGymTier, TrainedText
from stages.running.errors import BadInput
from stages.tasks.families import MIXTURE, load_dataset
from stages.tasks.reasoning_gym import ReasoningGym

FAMILIES = sorted(DATASETS.keys() - {MIXTURE})
NO_CURRICULUM = ("acre", "gsm_symbolic", "list_functions")
NO_REFERENCE = ("boxnet", "rush_hour")
# Levels of a family's own curriculum that the family itself refuses, in reasoning-gym 0.1.25.
REFUSED = {
    ("caesar_cipher", "top"): "rotation must be in range",
    ("knight_swap", "bottom"): "min_nodes must be >= 6",
    ("knight_swap", "top"): "min_nodes must be >= 6",
    ("rubiks_cube", "top"): "cube_size must be less than 7",
    ("survo", "top"): "max_empty must be <= 9",
}
SLOW = (("sokoban", "bottom"), ("jugs", "top"), ("zebra_puzzles", "top"), ("n_queens", "top"))
"""Levels that take seconds to a minute for one entry; jugs finds none at all."""
MAX_DRAWS = 6


def task(family: str, **tier: Any) -> ReasoningGymTask:
    tiers = [ReasoningGymTier(difficulty=0, num_train=1, num_heldout=1, num_reserved=0, **tier)]
    text = TrainedText(kind="trained", vocabulary_size=300)
    return ReasoningGymTask(name="reasoning_gym", family=family, seed=3, text=text, tiers=tiers)


def outcome(family: str, level: int) -> str:
    """What comes of a family's level: a problem, none, or the family's own refusal."""
    params = task(family, level=level)
    try:
        draws = ReasoningGym(params)._draws(params.tiers[0])
        return (
            "problem"
            if any(problem for problem, _ in zip(draws, range(MAX_DRAWS), strict=False))
            else "nothing"
        )
    except BadInput as error:
        return str(error)


@pytest.mark.parametrize("end", ["bottom", "top"])
def test_every_familys_levels_give_problems_or_are_known_not_to(end: str) -> None:
    for family in FAMILIES:
        if family in NO_CURRICULUM or (family, end) in SLOW:
            continue
        levels = [
            len(attribute.levels) for attribute in create_curriculum(family).attributes.values()
        ]
        result = outcome(family, 0 if end == "bottom" else max(levels) - 1)
        if (family, end) in REFUSED:
            assert f"refuses this level: {REFUSED[family, end]}" in result
        else:
            assert result == ("nothing" if family in NO_REFERENCE else "problem"), family


def test_families_without_a_curriculum_are_those_named_here() -> None:
    assert tuple(family for family in FAMILIES if not has_curriculum(family)) == NO_CURRICULUM
    for family in NO_CURRICULUM:
        with pytest.raises(
            BadInput, match=f"family {family} has no curriculum; give the tier a config"
        ):
            load_dataset(task(family, level=0), task(family, level=0).tiers[0], size=1)
        params = task(family, config={})
        assert any(
            problem
            for problem, _ in zip(
                ReasoningGym(params)._draws(params.tiers[0]), range(6), strict=False
            )
        )


def test_a_level_sets_what_the_curriculum_says() -> None:
    params = task("chain_sum", level=3)
    config = load_dataset(params, params.tiers[0], size=1).config
    assert (config.min_terms, config.max_terms, config.min_digits, config.max_digits) == (
        2,
        5,
        1,
        4,
    )


def test_a_level_beyond_the_last_is_refused() -> None:
    params = task("chain_sum", level=11)
    with pytest.raises(BadInput, match="family chain_sum has levels 0 to 10, not 11"):
        load_dataset(params, params.tiers[0], size=1)


@pytest.mark.parametrize("tier", [{}, {"config": {}, "level": 1}])
def test_a_tier_has_either_config_or_level(tier: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either config or level"):
        task("chain_sum", **tier)

"""Sampling: what is refused."""

from pathlib import Path

from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put

MISTAKES: list[Mistake] = [
    (
        "below_range",
        [put("recipes.information.rollout.group_size", 1)],
        ["rollout.group_size", "equal to 2", "1"],
    ),
    (
        "no_difficulty",
        [put("recipes.information.rollout.difficulties", [])],
        ["rollout.difficulties", "at least 1"],
    ),
    (
        "cold",
        [put("recipes.information.rollout.temperature", 0.0)],
        ["rollout.temperature", "greater than 0"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)

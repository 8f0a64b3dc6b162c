"""Demonstrations: what is refused."""

from pathlib import Path

from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put

MISTAKES: list[Mistake] = [
    (
        "strategy",
        [put("inits.r0.demonstrations.strategy", "guess")],
        ["demonstrations", "guess", "'search'"],
    ),
    (
        "key_of_another_strategy",
        [put("inits.r0.demonstrations.max_blur", 1.0)],
        ["inits.r0.demonstrations.revise", "no key named max_blur"],
    ),
    (
        "nobody_gives_up",
        [put("inits.r0.demonstrations.give_up_fracs", [])],
        ["give_up_fracs", "at least 1"],
    ),
    (
        "weight_of_nothing",
        [put("inits.r0.demonstrations.difficulty_weights", {3: 0.0})],
        ["difficulty_weights.3", "greater than 0"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)

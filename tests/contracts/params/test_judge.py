"""A generative judge: what is refused."""

from pathlib import Path

from tests.contracts.params.mistakes import (
    JUDGE,
    SFT,
    Edit,
    Mistake,
    assert_refused,
    each_mistake,
    put,
)

MISTAKES: list[Mistake] = [
    (
        "untrained_judge",
        [put("judges", {"g1": {**JUDGE, "sft": {**SFT, "epochs": 0}}})],
        ["judges.g1", "nothing"],
    ),
    (
        "judge_without_a_base",
        [put("judges", {"g1": {**JUDGE, "base": None}})],
        ["judges.g1.base", "valid string"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)

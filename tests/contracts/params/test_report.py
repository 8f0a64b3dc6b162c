"""The report's settings: what is refused."""

from pathlib import Path

from tests.contracts.params.mistakes import ABSENT, Edit, Mistake, assert_refused, each_mistake, put

MISTAKES: list[Mistake] = [
    ("nothing_shown", [put("report.num_rollouts", 0)], ["report.num_rollouts", "equal to 1"]),
    (
        "no_training_budget",
        [put("report.training_budget_tokens", ABSENT)],
        ["report.training_budget_tokens", "Field required"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)

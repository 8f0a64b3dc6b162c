"""Exams: what is refused."""

from pathlib import Path

from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put

MISTAKES: list[Mistake] = [
    (
        "zero_temperature",
        [put("exam.temperatures", [1.0, 0.0])],
        ["exam.temperatures.1", "greater than 0", "0.0"],
    ),
    ("no_temperature", [put("exam.temperatures", [])], ["exam.temperatures", "at least 1"]),
    (
        "a_temperature_twice",
        [put("exam.temperatures", [0.6, 1.0, 0.6])],
        ["exam.temperatures", "each temperature may stand once, not [0.6, 1.0, 0.6]"],
    ),
    (
        "one_temperature_alone",
        [put("exam.temperature", 1.0)],
        ["no key named temperature", "temperatures"],
    ),
    (
        "budgets_that_fall",
        [put("exam.budgets_tokens", [0, 8, 8])],
        ["exam", "budgets_tokens", "[0, 8, 8]"],
    ),
    ("no_budget", [put("exam.budgets_tokens", [])], ["exam.budgets_tokens", "at least 1"]),
    ("a_budget_below_none", [put("exam.budgets_tokens", [-1, 72])], ["budgets_tokens", "-1"]),
    ("judge_by_no_name", [put("exams.r0.judge", "g 1")], ["exams.r0.judge", "pattern"]),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)

"""What the gate says of an expectation that does not hold: table, column, count, first offender."""

from pathlib import Path
from typing import Any

import pytest

from stages.running.errors import BadInput
from stages.validate.refusal import broken_expectations, explain, refuse
from stages.validate.suites import ExpectationResult


def result(success: bool = False, **changes: Any) -> ExpectationResult:
    fields: dict[str, Any] = {
        "type": "expect_column_values_to_be_between",
        "column": "reward",
        "bounds": {"min_value": 0, "max_value": 1},
        "notes": "rewards lie between none and all",
        "success": success,
        "unexpected_count": 0 if success else 2,
        "first": None if success else {"rollout_id": "i1/p/0", "reward": 1.5},
    }
    return ExpectationResult(**{**fields, **changes})


def test_a_row_that_breaks_a_rule_is_named_by_its_key() -> None:
    assert explain("scores", result(), num_rows=10) == (
        "table scores, column reward: 2 of 10 rows break 'rewards lie between none and all' "
        "(min_value 0, max_value 1); first rollout_id=i1/p/0 has 1.5"
    )


def test_a_column_that_breaks_a_rule_as_a_whole_has_a_value() -> None:
    broken = result(column="problem_id", bounds={}, first={"observed_value": 2})
    assert explain("rollouts", broken, num_rows=10) == (
        "table rollouts, column problem_id: 2 found; the rule is 'rewards lie between none and all'"
    )


def test_what_holds_is_not_told() -> None:
    results = {"scores": [result(True), result()], "gains": [result(True)]}
    assert list(broken_expectations(results)) == [("scores", result())]
    refuse("i1", {"gains": [result(True)]}, {"gains": 3}, docs=None)


def test_every_broken_expectation_is_told_with_what_to_do(tmp_path: Path) -> None:
    results = {"scores": [result(), result(column="judge_score", first={"observed_value": 1})]}
    with pytest.raises(BadInput) as refused:
        refuse("i1", results, {"scores": 10}, docs=tmp_path)
    first, *lines, last = str(refused.value).splitlines()
    assert first == (
        "round i1: 2 expectation(s) broken, so nothing trains on it; "
        f"all outcomes in {tmp_path / 'index.html'}:"
    )
    assert [line.split(":")[0] for line in lines] == [
        "  table scores, column reward",
        "  table scores, column judge_score",
    ]
    assert last.startswith("mend the stage that wrote the table")

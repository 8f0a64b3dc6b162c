"""Sums of an exam: some problems at a time as all at once, and what is chosen among samples."""

from typing import Any

import pandas as pd
import pytest

from stages.contracts.params.evaluate import Evaluate
from stages.evaluate import __main__ as evaluate
from stages.evaluate.exam_sums import Sums, choices, joined, samples_up_to, sums_of
from stages.evaluate.intervals import Intervals
from tests.exam_world import RIGHT, SPLITS, TEMPERATURES, Exam

INTERVALS = Intervals(Evaluate(seed=1, num_resamples=200, confidence=0.95))


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One run of the stage, for tests that only look."""
    return Exam(tmp_path_factory.mktemp("exam")).evaluate()


def edited_sums(grades: pd.DataFrame, **columns: Any) -> Sums:
    return sums_of(grades.reset_index().assign(**columns), samples_up_to(2))


def test_sums_of_some_problems_at_a_time_are_those_of_all(
    graded: tuple[pd.DataFrame, dict[str, Any]],
) -> None:
    rows = graded[0].reset_index()
    whole, sizes = edited_sums(graded[0]), samples_up_to(2)
    parts = joined([sums_of(rows[rows["problem_id"] == name], sizes) for name in SPLITS])
    graded_parts, graded_whole = (
        evaluate.grade(sums, TEMPERATURES, 18, INTERVALS) for sums in (parts, whole)
    )
    assert graded_parts == graded_whole
    for sums, expected in zip(parts, whole, strict=True):
        order = [
            name
            for name in expected.columns
            if name != "reward" and not name.endswith(("_k", "_n"))
        ]
        left, right = (frame.sort_values(order, ignore_index=True) for frame in (sums, expected))
        pd.testing.assert_frame_equal(left, right, check_dtype=False)


def chosen(rows: pd.DataFrame) -> dict[str, Any]:
    return evaluate.choice_metrics(choices(rows, samples_up_to(4)), INTERVALS)


def test_unreadable_answers_are_one_wrong_answer() -> None:
    """Of four samples one is right and three are unreadable in three ways: the majority errs."""
    texts = [RIGHT, "7 +", "+ +", ""]
    rows = pd.DataFrame(
        {
            "problem_id": "p",
            "temperature": 1.0,
            "sample_index": range(4),
            "budget_tokens": 9,
            "answer": texts,
            "verdict": ["correct", *["unparsable"] * 3],
            "reward": [1.0, 0.0, 0.0, 0.0],
            "judge_score": None,
            "difficulty": 3,
        }
    )
    majority = chosen(rows)["maj_at_k"]["budget_9"]
    assert majority["k_4"]["mean"] == 0.0
    assert majority["k_1"]["mean"] == 0.25
    different = rows.assign(verdict=["correct", *["incorrect"] * 3])
    assert chosen(different)["maj_at_k"]["budget_9"]["k_4"]["mean"] == 0.25


def test_samples_of_two_temperatures_are_not_chosen_among(
    graded: tuple[pd.DataFrame, dict[str, Any]],
) -> None:
    """Two samples at each of two temperatures are two twice, never four."""
    rows = graded[0].reset_index()
    known = rows[rows["split"] == "heldout"]
    both = choices(known, samples_up_to(4))
    assert both["pass_at_k"].isna().equals(both["k"] == 4)
    for temperature, of_one in both.groupby("temperature"):
        alone = choices(known[known["temperature"] == temperature], samples_up_to(4))
        pd.testing.assert_frame_equal(of_one.reset_index(drop=True), alone)

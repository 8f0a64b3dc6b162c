"""Exams and comparisons, out of metrics written by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from lineage.data.exam import Difference, Estimate, Exam, Level, difference_of, exam_of
from lineage.record.ancestry import Generation, ancestry
from lineage.record.tree import open_tree
from tests.lineage import chain

HALF = Estimate(0.53, 0.47, 0.5)
MORE = Estimate(0.63, 0.57, 0.6)


@pytest.fixture
def generation(tmp_path: Path) -> Generation:
    chain.write(tmp_path, chain.chain(1))
    return ancestry(open_tree(tmp_path), "n1")[-1]


def test_budgets_are_in_order_and_the_training_one_is_first_to_look_at(
    generation: Generation,
) -> None:
    assert exam_of(generation) == Exam(
        "9",
        {
            "all": Level(40, {"9": HALF, "18": MORE}),
            "difficulty_3": Level(30, {"9": HALF, "18": MORE}),
            "difficulty_4": Level(10, {"9": HALF, "18": MORE}),
        },
    )


def test_without_a_training_budget_the_largest_is_looked_at(generation: Generation) -> None:
    step = generation.steps["evaluate"]
    params = {"report.training_budget_tokens": 72}
    steps = {**generation.steps, "evaluate": replace(step, params=params)}
    exam = exam_of(replace(generation, steps=steps))
    assert exam is not None
    assert exam.budget_tokens == "18"
    assert exam.success == MORE


@pytest.mark.parametrize("metrics", [None, {}, {"curriculum": {"budget_tokens": 9}}])
def test_metrics_without_success_are_no_exam(generation: Generation, metrics: dict | None) -> None:
    assert exam_of(replace(generation, exam=metrics)) is None


def test_what_is_not_known_stays_so(generation: Generation) -> None:
    unknown = {"mean": 0.5, "low": None, "high": None}
    success = {"budget_9": unknown, "budget_18": None}
    exam = exam_of(replace(generation, exam={"all": {"num_problems": 1, "success": success}}))
    assert exam is not None
    assert exam.levels["all"].success == {"9": Estimate(None, None, 0.5), "18": None}


def test_a_difference_is_turned_round() -> None:
    value = {"mean": 0.1, "low": -0.2, "high": None}
    assert difference_of(value, 1) == Difference(0.1, -0.2, None)
    assert difference_of(value, -1) == Difference(-0.1, None, 0.2)
    assert difference_of(None, 1) is None

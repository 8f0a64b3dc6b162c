"""Answers, grades and metrics of a small exam, whether grading is a step of its own or not."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
import pytest

from lineage.proof.rowchecks import check_rows
from lineage.record.graph import Graph
from tests.lineage.proof.byhand import evidence_of, graph_of, step

EXAM = "data/exams/i1"
ANSWERS, GRADES = f"{EXAM}/answers.parquet", f"{EXAM}/grades.parquet"
METRICS, PROBLEMS = "data/metrics/exams/i1.json", "data/problems.parquet"
ROWS = {
    "problem_id": ["a", "a", "b", "b"],
    "sample_index": pa.array([0, 1, 0, 1], pa.int32()),
    "budget_tokens": pa.array([9] * 4, pa.int32()),
    "used_tokens": pa.array([9, 8, 7, 6], pa.int32()),
    "is_forced": [True, False, False, False],
    "answer": ["1", "2", "3", "4"],
}
GRADED = {
    "difficulty": pa.array([3, 3, 4, 4], pa.int32()),
    "split": ["heldout"] * 4,
    "verdict": ["correct", "incorrect", "incorrect", "incorrect"],
    "reward": pa.array([1.0, 0.0, 0.0, 0.0], pa.float32()),
}
EXAMINE = step("examine@i1", {"problems": PROBLEMS}, {"answers": ANSWERS})
TOGETHER = graph_of(
    EXAMINE,
    step("evaluate@i1", {"answers": ANSWERS}, {"grades": GRADES, "metrics": METRICS}),
)
APART = graph_of(
    EXAMINE,
    step("grade@i1", {"answers": ANSWERS}, {"grades": GRADES}),
    step("evaluate@i1", {"grades": GRADES}, {"metrics": METRICS}),
)
both_ways = pytest.mark.parametrize("graph", [TOGETHER, APART], ids=["evaluate", "grade"])


def findings(
    graph: Graph, grades: Mapping[str, list] = {}, mean: float = 0.25
) -> list[tuple[str, str]]:
    answers = pa.table({"policy_id": ["i1"] * 4, **ROWS})
    levels = {"all": mean, "difficulty_3": 0.5, "difficulty_4": 0.0}
    metrics = {name: {"success": {"budget_9": {"mean": of}}} for name, of in levels.items()}
    files = {METRICS: json.dumps(metrics | {"curriculum": {}}).encode()}
    tables = {ANSWERS: answers, GRADES: pa.table({**ROWS, **GRADED, **grades})}
    wrong, num_rows = check_rows(graph, list(graph.steps.values()), evidence_of(tables, files))
    assert num_rows == 8
    return [(finding.subject, finding.message) for finding in wrong]


@both_ways
def test_a_sound_exam(graph: Graph) -> None:
    assert findings(graph) == []


@both_ways
def test_metrics_that_are_not_the_means(graph: Graph) -> None:
    message = "its metrics say success 0.3 at 9 tokens, all at temperature 1.0; grades 0.25"
    assert findings(graph, mean=0.3) == [("evaluate@i1", message)]


@pytest.mark.parametrize(("graph", "grader"), [(TOGETHER, "evaluate@i1"), (APART, "grade@i1")])
def test_grades_of_other_answers_are_the_graders(graph: Graph, grader: str) -> None:
    message = "its grades are of other answers than the exam's"
    assert findings(graph, {"answer": ["1", "2", "3", "5"]}) == [(grader, message)]
    verdicts = ["incorrect"] * 4
    message = "1 rewards are not those of their verdicts; the first a"
    assert findings(graph, {"verdict": verdicts}) == [(grader, message)]


EVALUATE = step("evaluate@i1", {"grades": GRADES}, {"metrics": METRICS})
KNOWN = graph_of(
    EXAMINE,
    step("grade@i1", {"answers": ANSWERS}, {"grades": GRADES}),
    replace(EVALUATE, params={"report.training_budget_tokens": 9}),
)


def of_temperatures(temperature: float, success: float, colder: float = 1.0) -> list[str]:
    """What is found in an exam at two temperatures: one problem to examine on, one to choose on.

    Held-out `h` is right in the cold alone, reserved `v` at temperature 1 alone.
    """
    rows = {
        "problem_id": ["h", "h", "v", "v"],
        "temperature": pa.array([0.35, 1.0] * 2, pa.float32()),
        **{name: ROWS[name] for name in ("budget_tokens", "used_tokens", "is_forced", "answer")},
        "sample_index": pa.array([0] * 4, pa.int32()),
    }
    graded = {
        "difficulty": pa.array([3] * 4, pa.int32()),
        "split": ["heldout"] * 2 + ["reserved"] * 2,
        "verdict": ["correct", "incorrect", "incorrect", "correct"],
        "reward": pa.array([1.0, 0.0, 0.0, 1.0], pa.float32()),
    }
    by_temperature = {"1.0": 0.0, "0.35": colder}
    metrics = {
        "temperature": temperature,
        "success": {"budget_9": {"mean": success}},
        "success_by_temperature": {
            name: {"budget_9": {"mean": mean}} for name, mean in by_temperature.items()
        },
    }
    files = {METRICS: json.dumps({"all": metrics}).encode()}
    tables = {
        ANSWERS: pa.table({"policy_id": ["i1"] * 4, **rows}),
        GRADES: pa.table({**rows, **graded}),
    }
    wrong, _ = check_rows(KNOWN, list(KNOWN.steps.values()), evidence_of(tables, files))
    return [finding.message for finding in wrong]


def test_metrics_are_at_the_temperature_that_reserved_problems_choose() -> None:
    assert of_temperatures(1.0, 0.0) == []
    not_best = "its temperature 0.35 is not the best on reserved problems, all"
    assert of_temperatures(0.35, 1.0) == [not_best]
    other = "its metrics say success 1.0 at 9 tokens, all at temperature 1.0; grades 0.0"
    assert of_temperatures(1.0, 1.0) == [other]
    colder = "its metrics say success 0.5 at 9 tokens, all at temperature 0.35; grades 1.0"
    assert of_temperatures(1.0, 0.0, colder=0.5) == [colder]
    none = "its metrics are at temperature 0.7, all; grades have none"
    assert of_temperatures(0.7, 1.0) == [none, not_best.replace("0.35", "0.7")]

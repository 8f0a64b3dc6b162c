"""Answers, grades and metrics of a small exam, whether grading is a step of its own or not."""

import json
from collections.abc import Mapping

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
    message = "its metrics say success 0.3 at 9 tokens, all; grades 0.25"
    assert findings(graph, mean=0.3) == [("evaluate@i1", message)]


@pytest.mark.parametrize(("graph", "grader"), [(TOGETHER, "evaluate@i1"), (APART, "grade@i1")])
def test_grades_of_other_answers_are_the_graders(graph: Graph, grader: str) -> None:
    message = "its grades are of other answers than the exam's"
    assert findings(graph, {"answer": ["1", "2", "3", "5"]}) == [(grader, message)]
    verdicts = ["incorrect"] * 4
    message = "1 rewards are not those of their verdicts; the first a"
    assert findings(graph, {"verdict": verdicts}) == [(grader, message)]

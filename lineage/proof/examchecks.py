"""Whether the rows of an exam agree: answers, grades, and the metrics that are their means."""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from lineage.data.exam import estimate_of
from lineage.proof.rowtables import Tables, bad_rows
from lineage.proof.verdicts import check_rewards
from lineage.record.errors import Finding
from lineage.record.flags import Flag
from lineage.record.graph import Graph
from lineage.record.lock import Step
from lineage.record.values import Values, section

ROUNDING = 1e-4  # exam metrics have four digits
GRADED = ("problem_id", "sample_index", "budget_tokens", "used_tokens", "is_forced", "answer")


def check_exam(graph: Graph, step: Step, tables: Tables) -> Iterator[Finding]:
    """Grades are of the answers, answers of the policy, and metrics are the means of the grades.

    Args:
        graph: all steps.
        step: the one that wrote the metrics.
        tables: what steps wrote.
    """
    examine = graph.of_key(step.key).get("examine")
    answers = tables.read(examine, Flag.ANSWERS, "policy_id", *GRADED)
    grader = graph.source(step, Flag.GRADES)
    columns = (*GRADED, "difficulty", "split", "verdict", "reward")
    grades = tables.read(grader, Flag.GRADES, *columns)
    if answers is not None:
        names = answers["policy_id"]
        is_other = pc.not_equal(names, step.key)
        yield from bad_rows(step, is_other, names, f"answers are not of policy {step.key}")
    if grades is None or grader is None:
        return
    if answers is not None and not answers.select(GRADED).equals(grades.select(GRADED)):
        yield Finding("rows", grader.name, "its grades are of other answers than the exam's")
    yield from check_rewards(grader, grades, grades["problem_id"], partial_credit=False)
    for level, metrics in tables.metrics(step).items():
        if isinstance(metrics, Mapping) and "success" in metrics:
            yield from _means(step, grades, level, section(metrics, "success"))


def _means(step: Step, grades: pa.Table, level: str, success: Values) -> Iterator[Finding]:
    rows = grades.filter(pc.equal(grades["split"], "heldout"))
    if level.startswith("difficulty_"):
        difficulty = int(level.removeprefix("difficulty_"))
        rows = rows.filter(pc.equal(rows["difficulty"], difficulty))
    by_problem = rows.group_by(["problem_id", "budget_tokens"]).aggregate([("reward", "mean")])
    means = by_problem.group_by("budget_tokens").aggregate([("reward_mean", "mean")])
    for row in means.to_pylist():
        budget, mean = row["budget_tokens"], row["reward_mean_mean"]
        estimate = estimate_of(success.get(f"budget_{budget}"))
        stated = estimate.mean if estimate else None
        if stated is None or mean is None or abs(stated - mean) > ROUNDING:
            message = f"its metrics say success {stated} at {budget} tokens, {level}; grades {mean}"
            yield Finding("rows", step.name, message)

"""Whether the rows of an exam agree: answers, grades, and the metrics that are their means."""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from lineage.data.exam import TRAINING_BUDGET, estimate_of
from lineage.proof.examrows import PLACE, check_sitting
from lineage.proof.rowtables import Tables, bad_rows
from lineage.proof.verdicts import check_rewards
from lineage.record.errors import Finding
from lineage.record.flags import Flag
from lineage.record.graph import Graph
from lineage.record.lock import Step
from lineage.record.values import Values, section

ROUNDING = 1e-4  # exam metrics have four digits
OLDER_TEMPERATURE = 1.0  # of metrics that do not say at which they are
GRADED = (*PLACE, "used_tokens", "is_forced", "answer")


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
        if examine is not None:
            yield from check_sitting(graph, examine, answers, tables)
    if grades is None or grader is None:
        return
    if answers is not None and not answers.select(GRADED).equals(grades.select(GRADED)):
        yield Finding("rows", grader.name, "its grades are of other answers than the exam's")
    yield from _of_problems(graph, grader, grades, tables)
    yield from check_rewards(grader, grades, grades["problem_id"], partial_credit=False)
    for level, metrics in tables.metrics(step).items():
        if isinstance(metrics, Mapping) and "success" in metrics:
            yield from _level(step, grades, level, metrics)


def _of_problems(graph: Graph, grader: Step, grades: pa.Table, tables: Tables) -> Iterator[Finding]:
    """Grades have the split and the difficulty of their problems: metrics are means by both."""
    columns = ("problem_id", "split", "difficulty")
    problems = tables.read(graph.source(grader, Flag.PROBLEMS), Flag.PROBLEMS, *columns)
    if problems is None:
        return
    names = grades["problem_id"]
    known = problems.take(pc.index_in(names, problems["problem_id"]))
    for column in ("split", "difficulty"):
        is_other = pc.not_equal(grades[column], known[column])
        what = f"grades have another {column} than their problems"
        yield from bad_rows(grader, is_other, names, what)


def _level(step: Step, grades: pa.Table, level: str, metrics: Values) -> Iterator[Finding]:
    """Of one level: success at its own temperature and at each, and that its own is the best."""
    rows = grades
    if level.startswith("difficulty_"):
        difficulty = int(level.removeprefix("difficulty_"))
        rows = rows.filter(pc.equal(rows["difficulty"], difficulty))
    chosen = str(metrics.get("temperature", OLDER_TEMPERATURE))
    by_temperature = section(metrics, "success_by_temperature")
    stated = [(name, section(by_temperature, name)) for name in by_temperature]
    for temperature, success in [(chosen, section(metrics, "success")), *stated]:
        of_one = _at(rows.filter(pc.equal(rows["split"], "heldout")), temperature)
        if not of_one.num_rows:
            message = f"its metrics are at temperature {temperature}, {level}; grades have none"
            yield Finding("rows", step.name, message)
        yield from _means(step, of_one, f"{level} at temperature {temperature}", success)
    yield from _choice(step, rows.filter(pc.equal(rows["split"], "reserved")), level, chosen)


def _at(rows: pa.Table, temperature: str) -> pa.Table:
    """Rows of one temperature, which tables hold in single precision."""
    return rows.filter(pc.equal(rows["temperature"], pa.scalar(float(temperature), pa.float32())))


def _choice(step: Step, reserved: pa.Table, level: str, stated: str) -> Iterator[Finding]:
    """No other temperature does better on reserved problems, at the budget trained at."""
    budget = step.params.get(TRAINING_BUDGET)
    rows = reserved.filter(pc.equal(reserved["budget_tokens"], budget))
    by_problem = rows.group_by(["problem_id", "temperature"]).aggregate([("reward", "mean")])
    means = by_problem.group_by("temperature").aggregate([("reward_mean", "mean")]).to_pylist()
    known = {row["temperature"]: row["reward_mean_mean"] for row in means}
    success = {t: mean for t, mean in known.items() if mean is not None}
    [chosen] = pa.array([float(stated)], pa.float32()).to_pylist()
    best = max(success.values(), default=0.0)
    if success and success.get(chosen, -1.0) < best - ROUNDING:
        message = f"its temperature {stated} is not the best on reserved problems, {level}"
        yield Finding("rows", step.name, message)


def _means(step: Step, rows: pa.Table, where: str, success: Values) -> Iterator[Finding]:
    by_problem = rows.group_by(["problem_id", "budget_tokens"]).aggregate([("reward", "mean")])
    means = by_problem.group_by("budget_tokens").aggregate([("reward_mean", "mean")])
    for row in means.to_pylist():
        budget, mean = row["budget_tokens"], row["reward_mean_mean"]
        estimate = estimate_of(success.get(f"budget_{budget}"))
        stated = estimate.mean if estimate else None
        # NaN is near to nothing
        if stated is None or mean is None or not abs(stated - mean) <= ROUNDING:
            message = f"its metrics say success {stated} at {budget} tokens, {where}; grades {mean}"
            yield Finding("rows", step.name, message)

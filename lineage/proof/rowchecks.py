"""Whether the rows of different tables agree: they would not where one was rewritten, its digests made anew."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineage.proof.evidence import Evidence
from lineage.record.errors import Finding
from lineage.record.graph import Graph
from lineage.record.lock import File, Step

ROUNDING = 1e-4  # exam metrics have four digits
FLOAT32 = 1e-5
VERDICT_REWARDS = {"correct": 1.0, "incorrect": 0.0, "unparsable": 0.0, "timeout": None, "error": None}
GRADED = ("problem_id", "sample_index", "budget_tokens", "used_tokens", "is_forced", "answer")


@dataclass
class Tables:
    """Reads columns of the tables that steps wrote, by the flag that names them."""

    evidence: Evidence
    num_rows: int = 0

    def read(self, step: Step | None, flag: str, *columns: str) -> pa.Table | None:
        """The columns; None where the step wrote no such table, or its bytes are nowhere: a finding already.

        Of a list column only the lengths are kept.

        Raises:
            KeyError: a column is missing.
        """
        out = step.written(flag) if step else None
        parts = self._parts(out, columns) if out else []
        return pa.concat_tables(parts) if parts else None

    def _parts(self, out: File, columns: Sequence[str]) -> list[pa.Table]:
        """Those of each part file; none where the bytes of any are nowhere."""
        found = []
        for path in sorted(part.path for part in self.evidence.files(out) if not part.is_list):
            stream = self.evidence.open(path)
            if stream is None:
                return []
            with stream:
                file = pq.ParquetFile(stream)
                if missing := set(columns) - {*file.schema_arrow.names}:
                    raise KeyError(f"{path} lacks the columns {sorted(missing)}")
                batches = [_shortened(batch) for batch in file.iter_batches(columns=[*columns])]
                empty = _shortened_schema(file, columns).empty_table()
                found.append(pa.Table.from_batches(batches) if batches else empty)
                self.num_rows += file.metadata.num_rows
        return found

    def read_json(self, step: Step | None, flag: str) -> Any:
        """A JSON file; None as above."""
        out = step.written(flag) if step else None
        stream = self.evidence.open(out.path) if out else None
        if stream is None:
            return None
        with stream:
            return json.loads(stream.read())


def check_rows(graph: Graph, steps: list[Step], evidence: Evidence) -> tuple[list[Finding], int]:
    """What does not agree, and the number of rows read."""
    tables = Tables(evidence)
    found: list[Finding] = []
    checks = {"demonstrate": _demos, "rollout": _round, "evaluate": _exam}
    for step in steps:
        if step.group in checks:
            try:
                found += checks[step.group](graph, step, tables)
            except (KeyError, ValueError, TypeError, pa.ArrowException) as error:
                found.append(Finding("rows", step.name, f"its tables cannot be read: {error}"))
    return found, tables.num_rows


def _demos(graph: Graph, step: Step, tables: Tables) -> Iterator[Finding]:
    demos = tables.read(step, "demos", "problem_id")
    yield from _trained_on(graph, step, tables, demos, "demonstrations")


def _trained_on(graph: Graph, step: Step, tables: Tables, rows: pa.Table | None, what: str) -> Iterator[Finding]:
    """Its problems are problems of the train split."""
    maker = graph.maker(step.flags.get("problems", ""))
    problems = tables.read(maker, "problems", "problem_id", "split")
    if rows is not None and problems is not None:
        train = problems.filter(pc.equal(problems["split"], "train"))["problem_id"]
        bad = pc.invert(pc.is_in(rows["problem_id"], train))
        yield from _some(step, bad, rows["problem_id"], f"{what} are of no problem of the train split")


def _round(graph: Graph, step: Step, tables: Tables) -> Iterator[Finding]:
    columns = ("problem_id", "sample_index", "policy_id", "completion_tokens", "forced_start", "forced_end")
    rollouts = tables.read(step, "rollouts", "rollout_id", *columns)
    if rollouts is None:
        return
    others = graph.of_key(step.key)
    parent = graph.maker(step.flags.get("policy", ""))
    ids = rollouts["rollout_id"]
    if parent is not None:
        bad = pc.not_equal(rollouts["policy_id"], parent.key)
        yield from _some(step, bad, ids, f"rollouts are not of the parent policy {parent.key}")
    named = pc.binary_join_element_wise(
        pa.scalar(step.key), rollouts["problem_id"], rollouts["sample_index"].cast(pa.string()), "/"
    )
    yield from _some(step, pc.not_equal(ids, named), ids, "rollouts are not named by round, problem and sample")
    yield from _trained_on(graph, step, tables, rollouts, "rollouts")
    yield from _scores(others.get("score"), ids, tables)
    yield from _segments(others, rollouts, tables)
    yield from _ledger(others.get("update"), rollouts, tables)


def _scores(step: Step | None, ids: pa.ChunkedArray, tables: Tables) -> Iterator[Finding]:
    scores = tables.read(step, "scores", "rollout_id", "verdict", "reward", "judge_score")
    if step is None or scores is None:
        return
    yield from _same_ids(step, "scores", scores["rollout_id"], ids)
    scores = scores.filter(pc.is_null(scores["judge_score"]))
    partial_credit = (step.params.get("task") or {}).get("partial_credit", False)
    yield from _rewards(step, scores, scores["rollout_id"], partial_credit=partial_credit)


def _rewards(step: Step, judged: pa.Table, names: pa.ChunkedArray, *, partial_credit: bool) -> Iterator[Finding]:
    """A reward is what the verdict says; with partial credit a wrong answer's lies anywhere from 0 to below 1."""
    due = pa.array([VERDICT_REWARDS.get(verdict) for verdict in judged["verdict"].to_pylist()], pa.float32())
    same = pc.or_kleene(pc.equal(judged["reward"].cast(pa.float32()), due), False).fill_null(False)
    if partial_credit:
        is_part = pc.and_(pc.greater_equal(judged["reward"], 0), pc.less(judged["reward"], 1))
        is_part = pc.and_(is_part, pc.equal(judged["verdict"], "incorrect")).fill_null(False)
        same = pc.or_(same, is_part)
    both_null = pc.and_(pc.is_null(judged["reward"]), pc.is_null(due))
    yield from _some(step, pc.invert(pc.or_(same, both_null)), names, "rewards are not those of their verdicts")


def _segments(others: dict[str, Step], rollouts: pa.Table, tables: Tables) -> Iterator[Finding]:
    """Segments lie within their rollouts; probes are of rollouts; gains are of segments and add up."""
    score, probe, infogain = (others.get(name) for name in ("score", "probe", "infogain"))
    key = ("rollout_id", "segment_index")
    segments = tables.read(score, "segments", *key, "start_token", "end_token")
    probes = tables.read(probe, "probes", "rollout_id")
    gains = tables.read(infogain, "gains", *key, "success_before", "success_after", "progress")
    if score is not None and segments is not None:
        ids, ends = segments["rollout_id"], rollouts["completion_tokens"]
        place = pc.index_in(ids, rollouts["rollout_id"])
        yield from _some(score, pc.is_null(place), ids, "segments are of no rollout")
        outside = pc.or_(
            pc.greater(segments["end_token"], ends.take(place)),
            pc.greater(segments["start_token"], segments["end_token"]),
        )
        yield from _some(score, outside, ids, "segments lie outside their rollouts")
    if probe is not None and probes is not None:
        stray = pc.invert(pc.is_in(probes["rollout_id"], rollouts["rollout_id"]))
        yield from _some(probe, stray, probes["rollout_id"], "probes are of no rollout")
    if infogain is not None and gains is not None:
        if segments is not None:
            stray = pc.invert(pc.is_in(_joined(gains, key), _joined(segments, key)))
            yield from _some(infogain, stray, gains["rollout_id"], "gains are of no segment")
        due = pc.subtract(gains["success_after"].cast("double"), gains["success_before"].cast("double"))
        off = pc.greater(pc.abs(pc.subtract(gains["progress"].cast("double"), due)), FLOAT32)
        yield from _some(infogain, off, gains["rollout_id"], "progress is not success after minus success before")


def _ledger(step: Step | None, rollouts: pa.Table, tables: Tables) -> Iterator[Finding]:
    """Every token of every rollout is accounted for once, in the ledger and in the metrics."""
    counts = ("num_trained_tokens", "num_forced_tokens", "num_untrained_tokens")
    ledger = tables.read(step, "ledger", "rollout_id", "problem_id", "status", *counts)
    metrics = tables.read_json(step, "metrics")
    if step is None or ledger is None:
        return
    ids = rollouts["rollout_id"]
    different = [*_same_ids(step, "ledger", ledger["rollout_id"], ids)]
    yield from different
    if not different:
        bad = pc.not_equal(ledger["problem_id"], rollouts["problem_id"])
        yield from _some(step, bad, ids, "ledger rows name another problem than their rollouts")
        total = pc.add(pc.add(ledger[counts[0]], ledger[counts[1]]), ledger[counts[2]])
        bad = pc.not_equal(total, rollouts["completion_tokens"])
        yield from _some(step, bad, ids, "ledger rows have more or fewer tokens than their rollouts")
        bad = pc.not_equal(ledger[counts[1]], pc.subtract(rollouts["forced_end"], rollouts["forced_start"]))
        yield from _some(step, bad, ids, "ledger rows have more or fewer forced tokens than their rollouts")
    for status, told in (metrics or {}).get("tokens", {}).items():
        column = {"trained": counts[0], "forced": counts[1]}.get(status, counts[2])
        rows = ledger if status == "forced" else ledger.filter(pc.equal(ledger["status"], status))
        if (num := pc.sum(rows[column]).as_py() or 0) != told:
            yield Finding("rows", step.name, f"its metrics count {told} {status} tokens, its ledger {num}")


def _exam(graph: Graph, step: Step, tables: Tables) -> Iterator[Finding]:
    """Grades are of the answers, answers of the policy, and the metrics are the means of the grades."""
    answers = tables.read(graph.of_key(step.key).get("examine"), "answers", "policy_id", *GRADED)
    grades = tables.read(step, "grades", *GRADED, "difficulty", "split", "verdict", "reward")
    if answers is not None:
        strangers = pc.not_equal(answers["policy_id"], step.key)
        yield from _some(step, strangers, answers["policy_id"], f"answers are not of policy {step.key}")
    if grades is None:
        return
    if answers is not None and not answers.select(GRADED).equals(grades.select(GRADED)):
        yield Finding("rows", step.name, "its grades are of other answers than the exam's")
    yield from _rewards(step, grades, grades["problem_id"], partial_credit=False)
    for level, metrics in (tables.read_json(step, "metrics") or {}).items():
        if "success" in metrics:
            yield from _exam_means(step, grades, level, metrics["success"])


def _exam_means(step: Step, grades: pa.Table, level: str, success: dict[str, Any]) -> Iterator[Finding]:
    part = grades.filter(pc.equal(grades["split"], "heldout"))
    if level.startswith("difficulty_"):
        part = part.filter(pc.equal(part["difficulty"], int(level.removeprefix("difficulty_"))))
    by_problem = part.group_by(["problem_id", "budget_tokens"]).aggregate([("reward", "mean")])
    means = by_problem.group_by("budget_tokens").aggregate([("reward_mean", "mean")]).to_pylist()
    for row in means:
        told = (success.get(f"budget_{row['budget_tokens']}") or {}).get("mean")
        found = row["reward_mean_mean"]
        if told is None or found is None or abs(told - found) > ROUNDING:
            yield Finding(
                "rows",
                step.name,
                f"its metrics say success {told} at {row['budget_tokens']} tokens, {level}; grades {found}",
            )


def _same_ids(step: Step, what: str, ids: pa.ChunkedArray, wanted: pa.ChunkedArray) -> Iterator[Finding]:
    if not ids.equals(wanted):
        lost = pc.sum(pc.invert(pc.is_in(wanted, ids))).as_py() or 0
        stray = pc.sum(pc.invert(pc.is_in(ids, wanted))).as_py() or 0
        told = (
            f"{lost} rollouts have no row, {stray} rows no rollout"
            if lost or stray
            else "rows repeat or are in another order"
        )
        yield Finding("rows", step.name, f"its {what} are not of its rollouts: {told}")


def _some(step: Step, bad: Any, names: pa.ChunkedArray, what: str) -> Iterator[Finding]:
    """A finding where any row is bad: how many, and the first."""
    if num := pc.sum(bad).as_py():
        first = names.filter(pc.fill_null(bad, False))[0].as_py()
        yield Finding("rows", step.name, f"{num} {what}; the first {first}")


def _joined(table: pa.Table, key: tuple[str, ...]) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(*(table[column].cast(pa.string()) for column in key), "/")


def _shortened(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Lists by their lengths."""
    columns = [pc.list_value_length(column) if pa.types.is_list(column.type) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _shortened_schema(file: pq.ParquetFile, columns: Sequence[str]) -> pa.Schema:
    fields = [file.schema_arrow.field(name) for name in columns]
    return pa.schema([pa.field(f.name, pa.int32()) if pa.types.is_list(f.type) else f for f in fields])

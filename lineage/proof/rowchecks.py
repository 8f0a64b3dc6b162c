"""Whether the rows of a round's tables agree: they would not where one was rewritten.

A forger can make the digests of a rewritten table anew, so that no byte tells of it.
"""

from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from lineage.proof.evidence import Evidence
from lineage.proof.examchecks import check_exam
from lineage.proof.ledgerchecks import check_ledger
from lineage.proof.rowtables import Tables, bad_rows, same_ids
from lineage.proof.verdicts import check_rewards
from lineage.record.errors import AuditError, Finding
from lineage.record.flags import Flag
from lineage.record.graph import Graph
from lineage.record.lock import Step
from lineage.record.values import section

FLOAT32 = 1e-5
ROLLOUT = (
    *("rollout_id", "problem_id", "sample_index", "policy_id"),
    *("completion_tokens", "num_unsampled_tokens"),
)
SEGMENT = ("rollout_id", "segment_index")


def check_rows(graph: Graph, steps: list[Step], evidence: Evidence) -> tuple[list[Finding], int]:
    """What does not agree, and the number of rows read."""
    tables = Tables(evidence)
    findings: list[Finding] = []
    for step in steps:
        if step.group in CHECKS:
            try:
                findings += CHECKS[step.group](graph, step, tables)
            except (AuditError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
                message = f"its tables cannot be read: {error}"
                findings.append(Finding("rows", step.name, message))
    return findings, tables.num_rows


def _demos(graph: Graph, step: Step, tables: Tables) -> Iterator[Finding]:
    demos = tables.read(step, Flag.DEMOS, "demo_id", "problem_id")
    yield from _trained_on(graph, step, tables, demos, "demonstrations")
    if demos is None:
        return
    wanted = section(step.params, f"inits.{step.key}.demonstrations").get("num_demos")
    if wanted is not None and demos.num_rows != wanted:
        message = f"its recipe asks for {wanted} demonstrations, and there are {demos.num_rows}"
        yield Finding("rows", step.name, message)
    places = pa.array(range(demos.num_rows), demos["demo_id"].type)
    is_bad = pc.not_equal(demos["demo_id"], places)
    yield from bad_rows(step, is_bad, demos["demo_id"], "demonstrations are not where they belong")


def _trained_on(
    graph: Graph, step: Step, tables: Tables, rows: pa.Table | None, what: str
) -> Iterator[Finding]:
    """Its problems are problems of the train split."""
    maker = graph.source(step, Flag.PROBLEMS)
    problems = tables.read(maker, Flag.PROBLEMS, "problem_id", "split")
    if rows is not None and problems is not None:
        names = rows["problem_id"]
        train = problems.filter(pc.equal(problems["split"], "train"))["problem_id"]
        is_bad = pc.invert(pc.is_in(names, train))
        yield from bad_rows(step, is_bad, names, f"{what} are of no problem of the train split")


def _round(graph: Graph, step: Step, tables: Tables) -> Iterator[Finding]:
    rollouts = tables.read(step, Flag.ROLLOUTS, *ROLLOUT)
    if rollouts is None:
        return
    others, ids = graph.of_key(step.key), rollouts["rollout_id"]
    parent = graph.source(step, Flag.POLICY)
    if parent is not None:
        is_bad = pc.not_equal(rollouts["policy_id"], parent.key)
        what = f"rollouts are not of the parent policy {parent.key}"
        yield from bad_rows(step, is_bad, ids, what)
    sample = rollouts["sample_index"].cast(pa.string())
    named = pc.binary_join_element_wise(pa.scalar(step.key), rollouts["problem_id"], sample, "/")
    what = "rollouts are not named by round, problem and sample"
    yield from bad_rows(step, pc.not_equal(ids, named), ids, what)
    yield from _trained_on(graph, step, tables, rollouts, "rollouts")
    if score := others.get("score"):
        yield from _scores(score, ids, tables)
    yield from _segments(others, rollouts, tables)
    if update := others.get("update"):
        yield from check_ledger(update, rollouts, tables)


def _scores(step: Step, ids: pa.ChunkedArray, tables: Tables) -> Iterator[Finding]:
    columns = ("rollout_id", "verdict", "reward", "judge_score")
    scores = tables.read(step, Flag.SCORES, *columns)
    if scores is None:
        return
    yield from same_ids(step, "scores", scores["rollout_id"], ids)
    scores = scores.filter(pc.is_null(scores["judge_score"]))
    partial_credit = bool(section(step.params, "task").get("partial_credit", False))
    names = scores["rollout_id"]
    yield from check_rewards(step, scores, names, partial_credit=partial_credit)


def _segments(others: Mapping[str, Step], rollouts: pa.Table, tables: Tables) -> Iterator[Finding]:
    """Segments lie within their rollouts; probes are of rollouts, gains of segments."""
    score, probe, infogain = (others.get(name) for name in ("score", "probe", "infogain"))
    segments = tables.read(score, Flag.SEGMENTS, *SEGMENT, "start_token", "end_token")
    probes = tables.read(probe, Flag.PROBES, "rollout_id")
    values = ("success_before", "success_after", "progress")
    gains = tables.read(infogain, Flag.GAINS, *SEGMENT, *values)
    if score is not None and segments is not None:
        yield from _within(score, segments, rollouts)
    if probe is not None and probes is not None:
        ids = probes["rollout_id"]
        is_stray = pc.invert(pc.is_in(ids, rollouts["rollout_id"]))
        yield from bad_rows(probe, is_stray, ids, "probes are of no rollout")
    if infogain is not None and gains is not None:
        if segments is not None:
            is_stray = pc.invert(pc.is_in(_joined(gains), _joined(segments)))
            what = "gains are of no segment"
            yield from bad_rows(infogain, is_stray, gains["rollout_id"], what)
        yield from _progress(infogain, gains)


def _within(step: Step, segments: pa.Table, rollouts: pa.Table) -> Iterator[Finding]:
    ids = segments["rollout_id"]
    place = pc.index_in(ids, rollouts["rollout_id"])
    yield from bad_rows(step, pc.is_null(place), ids, "segments are of no rollout")
    is_known = pc.is_valid(place)
    segments, ids, place = segments.filter(is_known), ids.filter(is_known), place.drop_null()
    ends = segments["end_token"]
    is_beyond = pc.greater(ends, rollouts["completion_tokens"].take(place))
    is_outside = pc.or_(is_beyond, pc.greater(segments["start_token"], ends))
    is_outside = pc.or_(is_outside, pc.less(segments["start_token"], 0))
    yield from bad_rows(step, is_outside, ids, "segments lie outside their rollouts")


def _progress(step: Step, gains: pa.Table) -> Iterator[Finding]:
    after, before = (gains[f"success_{when}"].cast("double") for when in ("after", "before"))
    progress, due = gains["progress"].cast("double"), pc.subtract(after, before)
    is_right = pc.less_equal(pc.abs(pc.subtract(progress, due)), FLOAT32)
    is_unknown = pc.and_(pc.is_null(progress), pc.is_null(due))
    is_off = pc.invert(pc.or_(is_right.fill_null(False), is_unknown))
    what = "progress is not success after minus success before"
    yield from bad_rows(step, is_off, gains["rollout_id"], what)


def _joined(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(*(rows[name].cast(pa.string()) for name in SEGMENT), "/")


CHECKS: dict[str, Callable[[Graph, Step, Tables], Iterator[Finding]]] = {
    "demonstrate": _demos,
    "rollout": _round,
    "evaluate": check_exam,
}
"""What is checked, by the step that it begins with."""

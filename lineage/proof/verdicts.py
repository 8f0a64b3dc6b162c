"""Rewards held against verdicts."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from lineage.proof.rowtables import bad_rows
from lineage.record.errors import Finding
from lineage.record.lock import Step

REWARDS = {"correct": 1.0, "incorrect": 0.0, "unparsable": 0.0, "timeout": None, "error": None}
"""The reward of each verdict; a test holds it to that of the verifiers."""


def check_rewards(
    step: Step, rows: pa.Table, names: pa.ChunkedArray, *, partial_credit: bool
) -> Iterator[Finding]:
    """A reward is that of the verdict; with partial credit a wrong answer may earn less than 1."""
    due = pa.array([REWARDS.get(verdict) for verdict in rows["verdict"].to_pylist()], pa.float32())
    reward = rows["reward"].cast(pa.float32())
    is_due = pc.equal(reward, due).fill_null(False)
    if partial_credit:
        is_part = pc.and_(pc.greater_equal(reward, 0), pc.less(reward, 1))
        is_part = pc.and_(is_part, pc.equal(rows["verdict"], "incorrect")).fill_null(False)
        is_due = pc.or_(is_due, is_part)
    both_null = pc.and_(pc.is_null(reward), pc.is_null(due))
    is_bad = pc.invert(pc.or_(is_due, both_null))
    yield from bad_rows(step, is_bad, names, "rewards are not those of their verdicts")

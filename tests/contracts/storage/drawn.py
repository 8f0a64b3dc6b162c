"""Any rows that a contract allows, and a few that are known."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from fixtures.rows import row
from stages.contracts.storage.contract import Table
from stages.contracts.tables.segments import SEGMENTS

Row = dict[str, Any]
VALUES = {
    pa.int8(): st.integers(-(2**7), 2**7 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.string(): st.text(max_size=6),
    pa.bool_(): st.booleans(),
}


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    return st.lists(VALUES[kind.value_type], max_size=4) if pa.types.is_list(kind) else VALUES[kind]


def rows_of(table: Table) -> st.SearchStrategy[list[Row]]:
    """Any rows the table's contract allows."""
    columns = {
        f.name: st.none() | values(f.type) if f.nullable else values(f.type) for f in table.schema
    }
    return st.lists(
        st.fixed_dictionaries(columns), max_size=5, unique_by=lambda row: key(row, table)
    )


def key(row: Row, table: Table) -> tuple[Any, ...]:
    return tuple(row[name] for name in table.key)


def content(path: Path) -> dict[str, bytes]:
    """The files of a table."""
    return {part.name: part.read_bytes() for part in path.iterdir()}


def segment(rollout_id: str, index: int) -> Row:
    place = {"rollout_id": rollout_id, "segment_index": index, "start_token": 5 * index}
    verdicts = {"attempt_verdict": None, "self_verdict": True}
    return row(SEGMENTS, **place, end_token=5 * index + 5, **verdicts)

"""The only reader and writer of tables: what goes in comes out, and what breaks the contract does neither."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contracts.errors import BadInput
from stages.contracts.tables import DEMOS, GAINS, GRADES, PROBLEMS, SCORES, SEGMENTS, TABLES, Table, read, write

Row = dict[str, Any]
VALUES = {
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
    columns = {f.name: st.none() | values(f.type) if f.nullable else values(f.type) for f in table.schema}
    return st.lists(st.fixed_dictionaries(columns), max_size=5, unique_by=lambda row: key(row, table))


def key(row: Row, table: Table) -> tuple[Any, ...]:
    return tuple(row[name] for name in table.key)


def segment(rollout_id: str, index: int) -> Row:
    return {
        "rollout_id": rollout_id,
        "segment_index": index,
        "kind": "attempt",
        "start_token": 5 * index,
        "end_token": 5 * index + 5,
        "attempt_verdict": None,
        "self_verdict": True,
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A table of three segments."""
    path = tmp_path / "segments.parquet"
    write(path, SEGMENTS, [segment("a", 0), segment("a", 1), segment("b", 0)])
    return path


def test_every_table_is_listed_with_a_key_of_its_own_columns() -> None:
    assert all(name == table.name for name, table in TABLES.items())
    for table in TABLES.values():
        assert table.key
        assert all(not table.schema.field(name).nullable for name in table.key)
        assert all(b"description" in field.metadata for field in table.schema)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@settings(max_examples=12)
@given(data=st.data())
def test_what_is_written_is_read_sorted_by_key(
    table: Table, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = data.draw(rows_of(table))
    path = tmp_path_factory.getbasetemp() / "round_trip.parquet"
    write(path, table, rows)
    assert read(path, table).to_pylist() == sorted(rows, key=lambda row: key(row, table))


@settings(max_examples=12)
@given(rows=rows_of(GAINS), random=st.randoms())
def test_the_bytes_depend_on_the_rows_alone(
    rows: list[Row], random: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    one, other = (tmp_path_factory.getbasetemp() / name for name in ("one.parquet", "other.parquet"))
    write(one, GAINS, rows)
    random.shuffle(rows)
    write(other, GAINS, iter(rows))
    assert one.read_bytes() == other.read_bytes()


def test_some_columns_are_read_in_the_order_asked(path: Path) -> None:
    assert read(path, SEGMENTS, ["rollout_id", "end_token"]).to_pydict() == {
        "rollout_id": ["a", "a", "b"],
        "end_token": [5, 10, 5],
    }


# What must not be written, and what the refusal names: table, column, count and first row.

BAD_ROWS: list[tuple[str, Table, list[Row], list[str]]] = [
    (
        "null",
        SEGMENTS,
        [segment("a", 0), {**segment("a", 1), "kind": None}, {**segment("b", 0), "kind": None}],
        ["table segments", "column kind", "2 null", "row 1", "'rollout_id': 'a'", "'segment_index': 1"],
    ),
    (
        "wrong_type",
        SEGMENTS,
        [segment("a", 0), {**segment("b", 0), "start_token": "zero"}],
        ["table segments", "column start_token", "1 value(s)", "int32", "row 1", "'rollout_id': 'b'"],
    ),
    (
        "too_large",
        SEGMENTS,
        [{**segment("c", 0), "end_token": 2**31}],
        ["table segments", "column end_token", "1 value(s)", "int32", "row 0", "'rollout_id': 'c'"],
    ),
    (
        "duplicate_key",
        SEGMENTS,
        [segment("a", 0), segment("b", 1), segment("b", 1), segment("c", 0), segment("c", 0)],
        ["table segments", "column rollout_id+segment_index", "2 duplicate", "'b'", "1"],
    ),
    (
        "missing_column",
        SCORES,
        [{"rollout_id": "a", "verdict": "correct", "judge_score": None, "answer": ""}],
        ["table scores", "row 0", "missing ['reward']"],
    ),
    (
        "unknown_column",
        SCORES,
        [{"rollout_id": "a", "verdict": "correct", "answer": "", "judge_score": None, "reward": 1.0, "rewrd": 1.0}],
        ["table scores", "row 0", "unknown ['rewrd']"],
    ),
]


@pytest.mark.parametrize(("table", "rows", "named"), [b[1:] for b in BAD_ROWS], ids=[b[0] for b in BAD_ROWS])
def test_bad_rows_are_not_written(table: Table, rows: list[Row], named: list[str], tmp_path: Path) -> None:
    target = tmp_path / "x" / "table.parquet"
    with pytest.raises(BadInput) as refused:
        write(target, table, rows)
    assert all(part in str(refused.value) for part in named), refused.value
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_refusal_leaves_what_was_there(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(BadInput):
        write(path, SEGMENTS, [segment("a", 0), segment("a", 0)])
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


# What must not be read.

Change = Callable[[pa.Table], pa.Table]


def with_null(data: pa.Table) -> pa.Table:
    loose = pa.schema([field.with_nullable(True) for field in data.schema])
    rows = data.to_pylist()
    rows[1]["end_token"] = rows[2]["end_token"] = None
    return pa.Table.from_pylist(rows, schema=loose)


BAD_TABLES: list[tuple[str, Change, list[str]]] = [
    ("missing_column", lambda t: t.drop_columns(["kind"]), ["missing ['kind']", "unknown []"]),
    ("unknown_column", lambda t: t.append_column("extra", [[1, 2, 3]]), ["missing []", "unknown ['extra']"]),
    (
        "renamed_column",
        lambda t: t.rename_columns(["rollout", *t.schema.names[1:]]),
        ["missing ['rollout_id']", "unknown ['rollout']"],
    ),
    (
        "swapped_columns",
        lambda t: t.select(["segment_index", "rollout_id", *t.schema.names[2:]]),
        ["column segment_index where rollout_id belongs"],
    ),
    (
        "wrong_dtype",
        lambda t: t.set_column(3, "start_token", t["start_token"].cast(pa.int64())),
        ["column start_token", "int64, not int32"],
    ),
    ("nulls", with_null, ["column end_token", "2 null", "row 1", "'rollout_id': 'a'", "'segment_index': 1"]),
    (
        "duplicate_keys",
        lambda t: pa.concat_tables([t, t.slice(1, 2)]),
        ["column rollout_id+segment_index", "2 duplicate", "'a'", "1"],
    ),
]


@pytest.mark.parametrize(("change", "named"), [b[1:] for b in BAD_TABLES], ids=[b[0] for b in BAD_TABLES])
def test_a_table_that_breaks_its_contract_is_not_read(change: Change, named: list[str], path: Path) -> None:
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(BadInput) as refused:
        read(path, SEGMENTS)
    assert all(part in str(refused.value) for part in ["table segments", str(path), *named]), refused.value


def test_a_broken_column_is_found_though_others_are_asked_for(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns(["kind"]), path)
    with pytest.raises(BadInput, match="kind"):
        read(path, SEGMENTS, ["rollout_id", "end_token"])


@pytest.mark.parametrize("keep", [0, 3, 40, 0.5, 0.99])
def test_a_truncated_file_is_refused(keep: float, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(BadInput, match=rf"table segments: {re.escape(str(path))} is corrupt .*dvc repro"):
        read(path, SEGMENTS)


def test_a_file_that_is_no_parquet_is_refused(path: Path) -> None:
    path.write_text("rollout_id,segment_index\na,0\n")
    with pytest.raises(BadInput, match=r"table segments: .* is corrupt"):
        read(path, SEGMENTS)


@pytest.mark.parametrize("table", [PROBLEMS, DEMOS, GRADES])
def test_a_missing_file_is_refused_with_what_makes_it(table: Table, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"table {table.name}: .*absent\.parquet is missing; `dvc repro`"):
        read(tmp_path / "absent.parquet", table)

"""The only reader and writer of tables: what goes in comes out, unless it breaks the contract."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.rows import row
from stages.contracts.storage import writing
from stages.contracts.storage.contract import Table, part_name
from stages.contracts.storage.reading import count_rows, merge_rows, read_batches, read_table
from stages.contracts.storage.writing import _row_bytes, table_writer, write_table
from stages.contracts.tables.all import TABLES
from stages.contracts.tables.demos import DEMOS
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.grades import GRADES
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.tables.thoughts import THOUGHTS
from stages.running.errors import BadInput

Row = dict[str, Any]
ONLY = part_name(0, 1)
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A table of three segments."""
    path = tmp_path / "segments.parquet"
    write_table(path, SEGMENTS, [segment("a", 0), segment("a", 1), segment("b", 0)])
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
    write_table(path, table, rows)
    assert read_table(path, table).to_pylist() == sorted(rows, key=lambda row: key(row, table))
    assert [
        row for batch in read_batches(path, table, max_rows=2) for row in batch.to_pylist()
    ] == read_table(path, table).to_pylist()


@settings(max_examples=12)
@given(rows=rows_of(GAINS), random=st.randoms())
def test_the_bytes_depend_on_the_rows_alone(
    rows: list[Row], random: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    one, other = (
        tmp_path_factory.getbasetemp() / name for name in ("one.parquet", "other.parquet")
    )
    write_table(one, GAINS, rows)
    random.shuffle(rows)
    write_table(other, GAINS, iter(rows))
    assert content(one) == content(other)


def test_some_columns_are_read_in_the_order_asked(path: Path) -> None:
    assert read_table(path, SEGMENTS, ["rollout_id", "end_token"]).to_pydict() == {
        "rollout_id": ["a", "a", "b"],
        "end_token": [5, 10, 5],
    }


# What must not be written, and what the refusal names: table, column, count and first row.

BAD_ROWS: list[tuple[str, Table, list[Row], list[str]]] = [
    (
        "null",
        SEGMENTS,
        [segment("a", 0), {**segment("a", 1), "kind": None}, {**segment("b", 0), "kind": None}],
        [
            "table segments",
            "column kind",
            "2 null",
            "row 1",
            "'rollout_id': 'a'",
            "'segment_index': 1",
        ],
    ),
    (
        "wrong_type",
        SEGMENTS,
        [segment("a", 0), {**segment("b", 0), "start_token": "zero"}],
        [
            "table segments",
            "column start_token",
            "1 value(s)",
            "int32",
            "row 1",
            "'rollout_id': 'b'",
        ],
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
        [{name: value for name, value in row(SCORES).items() if name != "reward"}],
        ["table scores", "row 0", "missing ['reward']"],
    ),
    (
        "unknown_column",
        SCORES,
        [{**row(SCORES), "rewrd": 1.0}],
        ["table scores", "row 0", "unknown ['rewrd']"],
    ),
]


@pytest.mark.parametrize(
    ("table", "rows", "named"), [b[1:] for b in BAD_ROWS], ids=[b[0] for b in BAD_ROWS]
)
def test_bad_rows_are_not_written(
    table: Table, rows: list[Row], named: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "x" / "table.parquet"
    with pytest.raises(BadInput) as refused:
        write_table(target, table, rows)
    assert all(part in str(refused.value) for part in named), refused.value
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_refusal_leaves_what_was_there(path: Path) -> None:
    before = content(path)
    with pytest.raises(BadInput):
        write_table(path, SEGMENTS, [segment("a", 0), segment("a", 0)])
    assert content(path) == before
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
    (
        "unknown_column",
        lambda t: t.append_column("extra", [[1, 2, 3]]),
        ["missing []", "unknown ['extra']"],
    ),
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
    (
        "nulls",
        with_null,
        ["column end_token", "2 null", "row 1", "'rollout_id': 'a'", "'segment_index': 1"],
    ),
    (
        "duplicate_keys",
        lambda t: t.take([0, 1, 1, 2, 2]),
        ["column rollout_id+segment_index", "2 duplicate", "row 2", "'a'", "1"],
    ),
    (
        "unsorted_keys",
        lambda t: t.take([0, 2, 1]),
        ["column rollout_id+segment_index", "1 row(s) out of the order", "row 2", "'a'", "1"],
    ),
]


@pytest.mark.parametrize(
    ("change", "named"), [b[1:] for b in BAD_TABLES], ids=[b[0] for b in BAD_TABLES]
)
def test_a_table_that_breaks_its_contract_is_not_read(
    change: Change, named: list[str], path: Path
) -> None:
    pq.write_table(change(pq.read_table(path)), path / ONLY)
    with pytest.raises(BadInput) as refused:
        read_table(path, SEGMENTS)
    assert all(part in str(refused.value) for part in ["table segments", str(path), *named]), (
        refused.value
    )


def test_a_broken_column_is_found_though_others_are_asked_for(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns(["kind"]), path / ONLY)
    with pytest.raises(BadInput, match="kind"):
        read_table(path, SEGMENTS, ["rollout_id", "end_token"])


@pytest.mark.parametrize("keep", [0, 3, 40, 0.5, 0.99])
def test_a_truncated_file_is_refused(keep: float, path: Path) -> None:
    part = path / ONLY
    whole = part.read_bytes()
    part.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(
        BadInput, match=rf"table segments: {re.escape(str(part))} is corrupt .*dvc repro"
    ):
        read_table(path, SEGMENTS)


def test_a_file_that_is_no_parquet_is_refused(path: Path) -> None:
    (path / ONLY).write_text("rollout_id,segment_index\na,0\n")
    with pytest.raises(BadInput, match=r"table segments: .* is corrupt"):
        read_table(path, SEGMENTS)


@pytest.mark.parametrize("table", [PROBLEMS, DEMOS, GRADES])
def test_a_missing_file_is_refused_with_what_makes_it(table: Table, tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=rf"table {table.name}: .*absent\.parquet is missing; `dvc repro`"
    ):
        read_table(tmp_path / "absent.parquet", table)


# Parts: their bounds, and what may be wrong with a folder of them.


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of at most three rows, or about 200 bytes."""
    monkeypatch.setattr(writing, "PART_ROWS", 3)
    monkeypatch.setattr(writing, "PART_BYTES", 200)


@pytest.mark.usefixtures("small_parts")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_parts_depend_on_the_rows_alone_and_are_bounded(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = sorted(
        data.draw(st.lists(rows_of(PROBES), max_size=4).map(flat)), key=lambda row: key(row, PROBES)
    )
    whole, piecewise = (tmp_path_factory.getbasetemp() / name for name in ("whole", "piecewise"))
    write_table(whole, PROBES, rows)
    with table_writer(piecewise, PROBES) as made:
        left = rows
        while left:
            size = data.draw(st.integers(1, len(left)))
            made.add(left[:size])
            left = left[size:]
    assert content(whole) == content(piecewise)
    tables = [pq.read_table(part) for part in sorted(whole.iterdir())]
    sizes = [_row_bytes(table) for table in tables]
    assert all(len(size) <= 3 and (len(size) <= 1 or size.sum() <= 200) for size in sizes)
    following = pairwise(sizes)
    assert all(len(size) == 3 or size.sum() + after[0] > 200 for size, after in following), (
        "a part ends too early"
    )
    assert count_rows(whole, PROBES) == len(rows)


def flat(lists: list[list[Row]]) -> list[Row]:
    """Rows of several draws, each key once."""
    return list({key(row, PROBES): row for rows in lists for row in rows}.values())


@pytest.fixture
def folder(small_parts: None, tmp_path: Path) -> Path:
    """A table of three parts."""
    path = tmp_path / "segments.parquet"
    write_table(path, SEGMENTS, [segment("a", index) for index in range(7)])
    assert len(list(path.iterdir())) == 3
    return path


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda f: (f / part_name(2, 3)).unlink(), ["lacks 1 part", part_name(2, 3)]),
        (lambda f: (f / part_name(0, 3)).unlink(), ["lacks 1 part", part_name(0, 3)]),
        (lambda f: (f / "notes.txt").touch(), ["1 file(s) that are no parts", "notes.txt"]),
        (lambda f: (f / part_name(1, 2)).touch(), ["parts of two tables", part_name(1, 2)]),
        (lambda f: (f / part_name(1, 3)).write_bytes(b"PAR1"), [part_name(1, 3), "is corrupt"]),
        (lambda f: [part.unlink() for part in f.iterdir()], ["lacks 1 part"]),
        (
            lambda f: (f / part_name(2, 3)).write_bytes((f / part_name(0, 3)).read_bytes()),
            ["1 row(s) out of the order of their key", "row 6", "'segment_index': 0"],
        ),
        (
            lambda f: (f / part_name(0, 3)).write_bytes((f / part_name(1, 3)).read_bytes()),
            ["out of the order of their key", "row 3", "'segment_index': 3"],
        ),
    ],
    ids=[
        "last_gone",
        "first_gone",
        "foreign",
        "of_another",
        "corrupt",
        "empty",
        "repeated",
        "swapped",
    ],
)
def test_a_folder_that_is_no_whole_table_is_refused(
    change: Callable[[Path], object], named: list[str], folder: Path
) -> None:
    change(folder)
    for reading in (
        lambda: read_table(folder, SEGMENTS),
        lambda: list(read_batches(folder, SEGMENTS, max_rows=2)),
    ):
        with pytest.raises(BadInput) as refused:
            reading()
        assert all(
            part in str(refused.value) for part in ["table segments", str(folder), *named]
        ), refused.value


def test_a_file_where_a_folder_belongs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scores.parquet").write_bytes(b"")
    with pytest.raises(BadInput, match=r"table scores: .* is a file, not a folder of part files"):
        read_table(tmp_path / "scores.parquet", SCORES)


@pytest.mark.parametrize(
    ("index", "what"), [(1, "1 duplicate key"), (0, r"1 row\(s\) out of the order")]
)
def test_keys_must_rise_from_batch_to_batch(index: int, what: str, tmp_path: Path) -> None:
    path = tmp_path / "segments.parquet"
    with pytest.raises(BadInput, match=rf"table segments.*{what}.*row 2.*'a'"):
        write_in_batches(
            path, [segment("a", 0), segment("a", 1)], [segment("a", index), segment("b", 0)]
        )
    assert list(tmp_path.iterdir()) == []


def write_in_batches(path: Path, *pieces: list[Row]) -> None:
    with table_writer(path, SEGMENTS) as made:
        for piece in pieces:
            made.add(piece)


@settings(max_examples=25)
@given(rows=rows_of(SEGMENTS), random=st.randoms())
def test_merged_tables_are_one_table(
    rows: list[Row], random: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shards = [tmp_path_factory.getbasetemp() / f"shard{index}" for index in range(3)]
    owners = [random.randrange(3) for _ in rows]
    for index, shard in enumerate(shards):
        write_table(
            shard,
            SEGMENTS,
            [row for row, owner in zip(rows, owners, strict=True) if owner == index],
        )
    assert list(merge_rows(shards, SEGMENTS, max_rows=1)) == sorted(
        rows, key=lambda row: key(row, SEGMENTS)
    )


def test_batches_are_bounded_in_rows_and_in_bytes(path: Path) -> None:
    assert [batch.num_rows for batch in read_batches(path, SEGMENTS, max_rows=2)] == [2, 1]
    assert [batch.num_rows for batch in read_batches(path, SEGMENTS, max_bytes=1)] == [1, 1, 1]
    write_table(path, SEGMENTS, [])
    assert [batch.num_rows for batch in read_batches(path, SEGMENTS, ["kind"])] == [0]


def test_a_batch_is_bounded_by_its_bytes_in_memory_not_in_the_file(path: Path) -> None:
    tokens = [7] * 1000
    thoughts = [row(THOUGHTS, sample_index=index, thinking_tokens=tokens) for index in range(10)]
    write_table(path, THOUGHTS, thoughts)
    assert sum(part.stat().st_size for part in path.iterdir()) < 4000, (
        "tokens that recur stand in the file once"
    )
    assert [batch.num_rows for batch in read_batches(path, THOUGHTS, max_bytes=2**13)] == [2] * 5

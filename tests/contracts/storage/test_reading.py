"""The only reader of tables: what breaks the contract is not read."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.rows import row
from stages.contracts.storage.contract import Table, part_name
from stages.contracts.storage.reading import merge_rows, read_batches, read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.demos import DEMOS
from stages.contracts.tables.grades import GRADES
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.tables.thoughts import THOUGHTS
from stages.running.errors import BadInput
from tests.contracts.storage.drawn import Row, key, rows_of, segment

ONLY = part_name(0, 1)


def test_some_columns_are_read_in_the_order_asked(path: Path) -> None:
    assert read_table(path, SEGMENTS, ["rollout_id", "end_token"]).to_pydict() == {
        "rollout_id": ["a", "a", "b"],
        "end_token": [5, 10, 5],
    }


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


def piped(part: Path) -> None:
    """A pipe in place of a part: who opens it waits for whoever writes into it."""
    part.unlink()
    os.mkfifo(part)


def unfolded(part: Path) -> None:
    part.unlink()
    part.mkdir()


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
        (lambda f: piped(f / part_name(1, 3)), ["1 part(s) that are no regular files"]),
        (lambda f: unfolded(f / part_name(1, 3)), ["no regular files", part_name(1, 3)]),
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
        "pipe",
        "folder",
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

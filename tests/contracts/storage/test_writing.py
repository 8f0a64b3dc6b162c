"""The only writer of tables: rows sorted by key, in parts that depend on them alone."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.rows import row
from stages.contracts.storage.contract import Table
from stages.contracts.storage.reading import count_rows, read_batches, read_table
from stages.contracts.storage.writing import _row_bytes, table_writer, write_table
from stages.contracts.tables.all import TABLES
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.running.errors import BadInput
from tests.contracts.storage.drawn import Row, content, key, rows_of, segment


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

"""Files from before a column was added or changed: read as if written today, no more."""

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
from stages.contracts.storage.reading import count_rows, merge_rows, read_batches, read_table
from stages.contracts.tables.all import TABLES
from stages.contracts.tables.answers import ANSWERS
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.grades import GRADES
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.thoughts import THOUGHTS
from stages.running.errors import BadInput
from tests.contracts.storage.drawn import key, rows_of

NULLABLE = [
    (table, field.name) for table in TABLES.values() for field in table.schema if field.nullable
]
SPANNED = pa.schema(
    [
        ("rollout_id", pa.string()),
        ("problem_id", pa.string()),
        ("sample_index", pa.int32()),
        ("policy_id", pa.string()),
        ("prompt_tokens", pa.list_(pa.int32())),
        ("completion_tokens", pa.list_(pa.int32())),
        ("sampler_logprobs", pa.list_(pa.float32())),
        ("num_thinking_tokens", pa.int32()),
        ("forced_start", pa.int32()),
        ("forced_end", pa.int32()),
        ("finish_reason", pa.string()),
        ("seed", pa.int64()),
        ("temperature", pa.float32()),
    ]
)
"""Rollouts as they were until a token said where it comes from."""


def store(folder: Path, data: pa.Table) -> Path:
    """The one part of a table, with no check."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(data, folder / part_name(0, 1))
    return folder


def spanned(name: str, num_tokens: int, start: int, end: int) -> dict[str, Any]:
    """A rollout with the tokens [start, end) forced."""
    return {
        "rollout_id": name,
        "problem_id": "p",
        "sample_index": 0,
        "policy_id": "r0",
        "prompt_tokens": [1, 2],
        "completion_tokens": [*range(num_tokens)],
        "sampler_logprobs": [-0.5] * num_tokens,
        "num_thinking_tokens": start,
        "forced_start": start,
        "forced_end": end,
        "finish_reason": "stop",
        "seed": 7,
        "temperature": 1.0,
    }


SPANS = [("a", 5, 2, 4), ("b", 0, 0, 0), ("c", 3, 3, 3), ("d", 4, 0, 4), ("e", 1, 0, 1)]
ORIGINS = [[0, 0, 1, 1, 0], [], [0, 0, 0], [1, 1, 1, 1], [1]]


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """Rollouts written the old way."""
    rows = [spanned(*span) for span in SPANS]
    return store(tmp_path / "rollouts.parquet", pa.Table.from_pylist(rows, SPANNED))


@pytest.mark.parametrize(
    ("table", "column"), NULLABLE, ids=[f"{table.name}-{column}" for table, column in NULLABLE]
)
@settings(max_examples=4)
@given(data=st.data())
def test_a_nullable_column_that_a_file_lacks_is_null(
    table: Table, column: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = sorted(data.draw(rows_of(table)), key=lambda row: key(row, table))
    path = tmp_path_factory.getbasetemp() / "lacking" / f"{table.name}.parquet"
    store(path, pa.Table.from_pylist(rows, table.schema).drop_columns([column]))
    expected = [row | {column: None} for row in rows]
    read = read_table(path, table)
    assert read.schema == table.schema
    assert read.to_pylist() == expected
    assert [row for batch in read_batches(path, table) for row in batch.to_pylist()] == expected
    assert [*merge_rows([path], table)] == expected
    assert read_table(path, table, [column]).to_pydict() == {column: [None] * len(rows)}
    assert count_rows(path, table) == len(rows)


def test_a_forced_span_is_a_cue(older: Path) -> None:
    read = read_table(older, ROLLOUTS)
    assert read.schema == ROLLOUTS.schema
    assert read["token_origin"].to_pylist() == ORIGINS
    assert read["completion_tokens"].to_pylist() == [[*range(span[1])] for span in SPANS]
    assert read["finish_reason"].to_pylist() == ["stop"] * len(SPANS)


@pytest.mark.parametrize(
    "columns", [["token_origin"], ["seed", "token_origin"], ["token_origin", "completion_tokens"]]
)
def test_columns_are_given_in_the_order_asked(older: Path, columns: list[str]) -> None:
    read = read_table(older, ROLLOUTS, columns)
    assert read.column_names == columns
    assert read["token_origin"].to_pylist() == ORIGINS


@pytest.mark.parametrize("max_rows", [1, 2, 100])
def test_a_span_is_converted_some_rows_at_a_time(older: Path, max_rows: int) -> None:
    batches = list(read_batches(older, ROLLOUTS, max_rows=max_rows))
    assert all(batch.schema == ROLLOUTS.schema for batch in batches)
    assert pa.concat_tables(batches).equals(read_table(older, ROLLOUTS))


def test_an_older_table_without_rows_is_one(tmp_path: Path) -> None:
    path = store(tmp_path / "rollouts.parquet", SPANNED.empty_table())
    assert read_table(path, ROLLOUTS).equals(ROLLOUTS.schema.empty_table())


@pytest.mark.parametrize("is_interpolated", [True, False])
def test_gains_on_a_line_are_read_as_carried(is_interpolated: bool, tmp_path: Path) -> None:
    written = row(GAINS, is_carried=is_interpolated)
    names = ["is_interpolated" if name == "is_carried" else name for name in GAINS.schema.names]
    older = pa.Table.from_pylist([written], GAINS.schema).rename_columns(names)
    path = store(tmp_path / "gains.parquet", older)
    assert read_table(path, GAINS).equals(pa.Table.from_pylist([written], GAINS.schema))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), max_size=6))
def test_every_span_is_laid_on_its_own_tokens(spans: list[tuple[int, int, int]]) -> None:
    rows = [spanned(f"r{number}", *span) for number, span in enumerate(spans)]
    [conversion] = ROLLOUTS.conversions
    origin = conversion.make(pa.Table.from_pylist(rows, SPANNED))
    expected = [[int(a <= place < b) for place in range(size)] for size, a, b in spans]
    assert origin.to_pylist() == expected


@pytest.mark.parametrize("table", [THOUGHTS, ANSWERS, GRADES], ids=lambda table: table.name)
def test_an_older_exam_was_sat_at_temperature_1(table: Table, tmp_path: Path) -> None:
    rows = [row(table, sample_index=index) for index in range(3)]
    today = pa.Table.from_pylist(rows, table.schema)
    path = store(tmp_path / table.name, today.drop_columns(["temperature"]))
    assert read_table(path, table).equals(today)
    assert [*merge_rows([path], table)] == rows
    batches = list(read_batches(path, table, ["temperature"], max_rows=2))
    assert [batch["temperature"].to_pylist() for batch in batches] == [[1.0, 1.0], [1.0]]


REFUSED: list[tuple[str, Callable[[pa.Table], pa.Table], str]] = [
    ("half a span", lambda t: t.drop_columns(["forced_end"]), r"missing \['token_origin'\]"),
    (
        "no tokens to lay it on",
        lambda t: t.drop_columns(["completion_tokens"]),
        r"missing \['completion_tokens', 'token_origin'\]",
    ),
    (
        "span and origin",
        lambda t: t.append_column("token_origin", pa.array(ORIGINS, pa.list_(pa.int8()))),
        r"columns unknown \['forced_start', 'forced_end'\]",
    ),
    (
        "out of place",
        lambda t: t.select(["problem_id", "rollout_id", *t.column_names[2:]]),
        "column problem_id where rollout_id belongs",
    ),
    (
        "another type",
        lambda t: t.set_column(0, "rollout_id", pa.array(range(len(t)))),
        "column rollout_id: .* holds int64, not string",
    ),
    (
        "a null",
        lambda t: t.set_column(1, "problem_id", pa.array(["p", None, "p", "p", "p"])),
        r"column problem_id: 1 null value\(s\)",
    ),
    ("a key twice", lambda t: t.take([0, 1, 1]), r"1 duplicate key\(s\)"),
]


@pytest.mark.parametrize(
    ("change", "named"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_an_older_file_keeps_the_rest_of_the_contract(
    change: Callable[[pa.Table], pa.Table], named: str, older: Path
) -> None:
    store(older, change(pq.read_table(older)))
    for read in (lambda: read_table(older, ROLLOUTS), lambda: list(read_batches(older, ROLLOUTS))):
        with pytest.raises(BadInput, match=named):
            read()

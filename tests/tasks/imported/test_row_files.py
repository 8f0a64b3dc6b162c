"""Rows of somebody else's file: each as it stands, or what is wrong with it."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.running.errors import BadInput
from stages.tasks.imported import row_files
from stages.tasks.imported.row_files import Row, check_sha256, read_rows


def test_rows_of_jsonl_by_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"q": "1?", "a": 1, "more": 2}\n[1]\n{"q": "2?"}\n{"q": \n"\xff"\n')
    assert list(read_rows(path, ["q", "a"])) == [
        Row(1, {"q": "1?", "a": 1}, ""),
        Row(2, {}, "not one JSON object on one line"),
        Row(3, {}, "without column a"),
        Row(4, {}, "not one JSON object on one line"),
        Row(5, {}, "not in UTF-8"),
    ]


def test_rows_of_parquet_are_those_of_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"q": ["1?", None], "a": [1, 2], "more": [3, 4]}), path)
    assert list(read_rows(path, ["q", "a"])) == [
        Row(1, {"q": "1?", "a": 1}, ""),
        Row(2, {"q": None, "a": 2}, ""),
    ]
    with pytest.raises(BadInput, match=r"has no column level; choose task\.columns from \['q'"):
        list(read_rows(path, ["q", "level"]))


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"rows")
    with pytest.raises(BadInput, match=r"is no Parquet file that can be read .*; fetch it anew"):
        list(read_rows(tmp_path / "rows.parquet", ["q"]))


def test_a_file_is_known_by_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    check_sha256(path, digest, "task.path")
    with pytest.raises(BadInput, match=rf"its sha256 is {digest}, not 0+; .* set task\.sha256"):
        check_sha256(path, "0" * 64, "task.path")
    with pytest.raises(BadInput, match=r"none\.jsonl is missing; params\.yaml task\.path names it"):
        check_sha256(tmp_path / "none.jsonl", digest, "task.path")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array([1000.1, None], pa.float32()), ["1000.1", None]),
        (pa.array([1e-07, -0.0], pa.float64()), ["1E-7", "-0.0"]),
        (pa.array([float("nan"), float("inf")]), ["NaN", "Infinity"]),
        (pa.array(["1.25", "2.00"]).cast(pa.decimal128(10, 2)), ["1.25", "2.00"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([b"a", b"\xc3\xa9"]), ["a", "é"]),
        (pa.array([True, False]), ["True", "False"]),
        (pa.array([None, None]), [None, None]),
        (pa.array([2**64 - 1, 0], pa.uint64()), [str(2**64 - 1), "0"]),
    ],
)
def test_columns_of_other_types_than_text(column: pa.Array, values: list[str | None]) -> None:
    shown = [None if value is None else str(value) for value in row_files._values(column)]
    assert shown == values


@pytest.mark.parametrize("form", ["plain", "large", "dictionary", "bytes"])
def test_text_that_is_not_utf8_is_told_in_any_column(form: str, tmp_path: Path) -> None:
    as_bytes = pa.array([b"What?", b"caf\xe9"])
    column = {
        "plain": lambda: as_bytes.view(pa.string()),
        "large": lambda: as_bytes.cast(pa.large_binary()).view(pa.large_string()),
        "dictionary": lambda: pa.DictionaryArray.from_arrays(
            pa.array([0, 1], pa.int32()), as_bytes.view(pa.string())
        ),
        "bytes": lambda: as_bytes,
    }[form]()
    pq.write_table(pa.table({"q": column}), tmp_path / "a.parquet")
    rows = list(read_rows(tmp_path / "a.parquet", ["q"]))
    assert [(row.line, row.fault) for row in rows] == [(1, ""), (2, "not in UTF-8")]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**62], pa.timestamp("ns")),
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array([1], pa.duration("ns")),
    ],
)
def test_a_column_of_neither_texts_nor_numbers_is_told(column: pa.Array, tmp_path: Path) -> None:
    pq.write_table(pa.table({"q": column}), tmp_path / "a.parquet")
    with pytest.raises(BadInput, match=r"column q is of type .*neither text nor a number"):
        list(read_rows(tmp_path / "a.parquet", ["q"]))


def test_a_column_that_stands_twice_is_told(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["q", "q"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(BadInput, match="duplicate field names"):
        list(read_rows(tmp_path / "a.parquet", ["q"]))

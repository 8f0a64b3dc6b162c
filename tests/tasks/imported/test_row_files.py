"""Rows of somebody else's file: each as it stands, or what is wrong with it."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.running.errors import BadInput
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

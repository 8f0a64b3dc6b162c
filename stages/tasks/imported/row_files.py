"""Rows of a JSONL or Parquet file that somebody else wrote.

Each comes as it stands, or as what is wrong with it.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from stages.running import machine
from stages.running.errors import BadInput


class Row(NamedTuple):
    """A row by its 1-based line.

    `fault` says why its `values` cannot be read, and is empty where they can.
    """

    line: int
    values: dict[str, Any]
    fault: str


def check_sha256(path: Path, sha256: str, key: str) -> None:
    """See that a file is the one that params.yaml means.

    Raises:
        BadInput: it is missing, or its bytes are others; names the digest found.
    """
    if not path.is_file():
        raise BadInput(
            f"{path} is missing; params.yaml {key} names it, as seen from the repository's root"
        )
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != sha256:
        raise BadInput(
            f"{path}: its sha256 is {digest}, not {sha256}; these are other bytes than params.yaml "
            f"means: fetch the right file, or set {key.rpartition('.')[0]}.sha256 to the one found"
        )


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The given columns of every row, in the order of the file.

    Raises:
        BadInput: a Parquet file is corrupt or lacks a column.
    """
    return _parquet_rows(path, columns) if path.suffix == ".parquet" else _json_rows(path, columns)


def _json_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    with path.open("rb") as stream:
        for line, content in enumerate(stream, start=1):
            yield _json_row(line, content, columns)


def _json_row(line: int, content: bytes, columns: Sequence[str]) -> Row:
    try:
        values = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        return Row(line, {}, "not in UTF-8")
    except (ValueError, RecursionError):
        return Row(line, {}, "not one JSON object on one line")
    if not isinstance(values, dict):
        return Row(line, {}, "not one JSON object on one line")
    missing = [name for name in columns if name not in values]
    if missing:
        return Row(line, {}, f"without column {', '.join(missing)}")
    return Row(line, {name: values[name] for name in columns}, "")


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    from pyarrow import dataset

    try:
        file = dataset.dataset(path, format="parquet")
        missing = [name for name in columns if name not in file.schema.names]
        if missing:
            raise BadInput(
                f"{path} has no column {missing[0]}; choose task.columns from {file.schema.names}"
            )
        line = 0
        for batch in file.to_batches(columns=list(columns)):
            for values in zip(*(_values(batch.column(name)) for name in columns), strict=True):
                line += 1
                broken = any(isinstance(value, bytes) for value in values)
                yield Row(
                    line, dict(zip(columns, values, strict=True)), "not in UTF-8" if broken else ""
                )
    except (pa.ArrowException, OSError) as error:
        if machine.want(error):
            raise
        raise BadInput(
            f"{path} is no Parquet file that can be read ({error}); fetch it anew"
        ) from None


def _values(column: pa.Array) -> list[Any]:
    """A column's values; a text that is not UTF-8 stays bytes, for Parquet does not check."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_pylist()
    return [
        None if value is None else _text(value)
        for value in column.cast(pa.large_binary()).to_pylist()
    ]


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value

"""Rows of a JSONL or Parquet file that somebody else wrote.

Each comes as it stands, or as what is wrong with it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from stages.running.errors import BadInput, lack_of
from stages.tasks.imported.json_lines import read_lines


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
        BadInput: the file is in another encoding; a Parquet file is corrupt, lacks a column, or has
            one of dates, lists and the like.
    """
    return _parquet_rows(path, columns) if path.suffix == ".parquet" else _json_rows(path, columns)


def _json_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    for line, values, fault in read_lines(path):
        missing = [name for name in columns if name not in values]
        if fault or missing:
            yield Row(line, {}, fault or f"without column {', '.join(missing)}")
        else:
            yield Row(line, {name: values[name] for name in columns}, "")


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    from pyarrow import dataset

    try:
        file = dataset.dataset(path, format="parquet")
        _check_columns(path, file.schema, columns)
        line = 0
        for batch in file.to_batches(columns=list(dict.fromkeys(columns))):
            for values in zip(*(_values(batch.column(name)) for name in columns), strict=True):
                line += 1
                broken = any(isinstance(value, bytes) for value in values)
                yield Row(
                    line, dict(zip(columns, values, strict=True)), "not in UTF-8" if broken else ""
                )
    except (pa.ArrowException, OSError) as error:
        if lack_of(error):
            raise
        raise BadInput(
            f"{path} is no Parquet file that can be read ({error}); fetch it anew"
        ) from None


def _check_columns(path: Path, schema: pa.Schema, columns: Sequence[str]) -> None:
    """See that each column is there and may hold texts or numbers.

    Raises:
        BadInput: one does not.
    """
    names = schema.names
    for name in columns:
        if name not in names:
            raise BadInput(f"{path} has no column {name}; choose task.columns from {names}")
        kind = schema.field(name).type
        held = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (_is_text(held) or _is_number(held) or pa.types.is_null(held)):
            raise BadInput(
                f"{path}: column {name} is of type {kind}, with neither text nor a number in any "
                "row; write it as text, then set task.sha256 anew"
            )


def _is_text(kind: pa.DataType) -> bool:
    """Text, or bytes that may be text: writers that know no text write bytes."""
    tests = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in tests)


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(test(kind) for test in tests)


def _values(column: pa.Array) -> list[Any]:
    """A column's values: a text that is not UTF-8 stays bytes, for Parquet does not check.

    A fraction comes as the `Decimal` of fewest digits that its own precision reads as the same:
    1000.1 in single precision is that, and not the 1000.0999755859375 that it is nearest to.
    """
    if pa.types.is_dictionary(column.type):
        each = _values(column.dictionary)
        return [None if place is None else each[place] for place in column.indices.to_pylist()]
    if _is_text(column.type):
        return [
            None if value is None else _text(value)
            for value in column.cast(pa.large_binary()).to_pylist()
        ]
    if pa.types.is_floating(column.type):
        precise = column.type.to_pandas_dtype()
        return [
            None if value is None else Decimal(str(precise(value))) for value in column.to_pylist()
        ]
    return column.to_pylist()


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value

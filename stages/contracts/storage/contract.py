"""What every table promises, and how rows are held to it: columns, nulls, unique keys in order.

A table is a folder of part files of bounded size. Rows are sorted by key within and across parts,
so a stream of rows needs to know only the row before to tell that keys are unique. Every part's
name says how many there are, so that none goes missing unseen.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.running.errors import BadInput

INT, LONG, FLOAT, TEXT, FLAG = pa.int32(), pa.int64(), pa.float32(), pa.string(), pa.bool_()
INTS, FLOATS, TEXTS = pa.list_(INT), pa.list_(FLOAT), pa.list_(TEXT)
CODES = pa.list_(pa.int8())


@dataclass(frozen=True)
class Conversion:
    """How a column is made of the columns that older files have in its place.

    `make` gives one value for each row of a table that has all of `inputs`. A file is older where
    it has them and lacks the column.
    """

    column: str
    inputs: tuple[str, ...]
    make: Callable[[pa.Table], pa.Array]


@dataclass(frozen=True)
class Table:
    """A table's contract.

    `grain` says what one row is; rows are sorted by `key`, which is unique. `conversions` say how
    files from before a column changed are read.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    schema: pa.Schema
    conversions: tuple[Conversion, ...] = ()

    def conversions_of(self, stored: Sequence[str]) -> Mapping[str, Conversion]:
        """Those that a file with the columns `stored` needs, by the column each makes."""
        return {
            conversion.column: conversion
            for conversion in self.conversions
            if conversion.column not in stored and {*conversion.inputs} <= {*stored}
        }


def define(
    name: str,
    grain: str,
    key: Sequence[str],
    *columns: pa.Field,
    conversions: Sequence[Conversion] = (),
) -> Table:
    """A table by its columns."""
    return Table(name, grain, tuple(key), pa.schema(columns), tuple(conversions))


def column(name: str, kind: pa.DataType, description: str, nullable: bool = False) -> pa.Field:
    """A column; `description` is what docs/tables.md says of it."""
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


def part_name(index: int, num_parts: int) -> str:
    """The file name of a part."""
    return f"part-{index:05d}-of-{num_parts:05d}.parquet"


def check_schema(stored: pa.Schema, table: Table, path: str) -> None:
    """Hold the columns of a part against the table's.

    A part written before a nullable column was added, or one that a conversion reads, is sound.

    Raises:
        BadInput: a column is missing, unknown, there twice, out of place or of another type.
    """
    if twice := [name for name, number in Counter(stored.names).items() if number > 1]:
        raise BadInput(f"table {table.name}: {path} has {len(twice)} column(s) twice, {twice}")
    converted = table.conversions_of(stored.names)
    replaced = {name for conversion in converted.values() for name in conversion.inputs}
    due = [field.name for field in table.schema if not field.nullable]
    missing = [name for name in due if name not in stored.names and name not in converted]
    known = {*table.schema.names, *replaced}
    unknown = [name for name in stored.names if name not in known]
    if missing or unknown:
        raise BadInput(
            f"table {table.name}: {path} has columns missing {missing} and columns unknown "
            f"{unknown}"
        )
    expecting = [field for field in table.schema if field.name in stored.names]
    holding = [field for field in stored if field.name in table.schema.names]
    for expected, found in zip(expecting, holding, strict=True):
        if expected.name != found.name:
            raise BadInput(
                f"table {table.name}: {path} has column {found.name} where {expected.name} belongs"
            )
        if expected.type != found.type:
            raise BadInput(
                f"table {table.name}, column {expected.name}: {path} holds {found.type}, not "
                f"{expected.type}"
            )


def check_rows(data: pa.Table, table: Table, path: str, before: pa.Table, start: int) -> None:
    """Hold rows against the contract.

    `before` is the row before them, if any; `start` the number of the first.
    """
    for field in table.schema:
        if field.nullable or field.name not in data.column_names:
            continue
        column = data.column(field.name)
        if column.null_count:
            first = pc.index(pc.is_null(column), True).as_py()
            raise BadInput(
                f"table {table.name}, column {field.name}: {column.null_count} null value(s) in "
                f"{path}; first at row {start + first} {_key_of(data, table, first)}"
            )
    if all(name in data.column_names for name in table.key):
        _check_order(data, table, path, before, start)


def _check_order(data: pa.Table, table: Table, path: str, before: pa.Table, start: int) -> None:
    """Every key comes after the one before it."""
    keys = pa.concat_tables([rows.select(list(table.key)) for rows in (before, data)])
    size = max(0, keys.num_rows - 1)
    is_less, is_equal = pa.array(np.zeros(size, bool)), pa.array(np.ones(size, bool))
    for name in table.key:
        earlier, later = keys[name].slice(0, size), keys[name].slice(1)
        is_less = pc.or_(is_less, pc.and_(is_equal, pc.less(later, earlier)))
        is_equal = pc.and_(is_equal, pc.equal(later, earlier))
    for is_bad, what in (
        (is_equal, "duplicate key(s)"),
        (is_less, "row(s) out of the order of their key"),
    ):
        if num_bad := pc.sum(is_bad).as_py():
            first = pc.index(is_bad, True).as_py() + 1 - before.num_rows
            raise BadInput(
                f"table {table.name}, column {'+'.join(table.key)}: {num_bad} {what} in {path}; "
                f"first at row {start + first} {_key_of(data, table, first)}"
            )


def _key_of(data: pa.Table, table: Table, index: int) -> dict[str, Any]:
    return {name: data[name][index].as_py() for name in table.key if name in data.column_names}

"""A table is a folder of part files of bounded size, written and read in streams, checked at both ends.

Rows are sorted by key within and across parts, so a stream of rows needs to know only the row before to tell that keys
are unique. Where a part ends depends on the rows alone: not on how many were written at a time. Every name says how
many parts there are, so that none goes missing unseen.
"""

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.contracts.errors import BadInput
from stages.contracts.publish import atomic

PART_ROWS, PART_BYTES = 2**17, 2**26
BATCH_ROWS, BATCH_BYTES = 2**14, 2**24
PART = re.compile(r"part-(?P<index>\d{5})-of-(?P<num_parts>\d{5})\.parquet")

Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Table:
    """A table's contract. `grain` says what one row is; rows are sorted by `key`, which is unique."""

    name: str
    grain: str
    key: tuple[str, ...]
    schema: pa.Schema


class Writer:
    """Takes a table's rows in the order of their key and writes them, part by part, into a folder."""

    def __init__(self, folder: Path, table: Table, path: Path) -> None:
        self.num_rows = 0
        self._folder, self._table, self._path = folder, table, path
        self._held: list[pa.Table] = []
        self._rows_held = self._bytes_held = self._num_parts = 0
        self._last = table.schema.empty_table()

    def add(self, rows: Rows) -> None:
        """Write the next rows.

        Raises:
            BadInput: a row has other columns, a value does not fit its column, a null stands where none may, or a key
                does not come after the one before it.
        """
        left = iter(rows)
        while batch := list(islice(left, BATCH_ROWS)):
            self.add_table(_to_arrow(batch, self._table, self.num_rows))

    def add_table(self, data: pa.Table) -> None:
        """`add`, of rows that Arrow holds already, in the table's schema."""
        _check(data, self._table, str(self._path), self._last, self.num_rows)
        if not data.num_rows:
            return
        self._last = data.slice(data.num_rows - 1)
        self.num_rows += data.num_rows
        ends = _row_bytes(data).cumsum()
        start = 0
        while start < data.num_rows:
            taken = ends[start - 1] if start else 0
            fitting = int(np.searchsorted(ends, taken + PART_BYTES - self._bytes_held, side="right")) - start
            size = min(data.num_rows - start, PART_ROWS - self._rows_held, fitting)
            if size <= 0 and self._rows_held:
                self._write_part()
                continue
            size = max(size, 1)  # a row larger than a part has one to itself
            self._held.append(data.slice(start, size))
            self._rows_held += size
            self._bytes_held += int(ends[start + size - 1] - taken)
            start += size

    def finish(self) -> None:
        """Write what is left; a table without rows has one part, an empty one."""
        if self._held or not self._num_parts:
            self._write_part()
        for index in range(self._num_parts):
            (self._folder / str(index)).rename(self._folder / part_name(index, self._num_parts))

    def _write_part(self) -> None:
        whole = pa.concat_tables([self._table.schema.empty_table(), *self._held]).combine_chunks()
        pq.write_table(whole, self._folder / str(self._num_parts), compression="zstd")
        self._num_parts += 1
        self._held, self._rows_held, self._bytes_held = [], 0, 0


@contextmanager
def writer(path: Path, table: Table) -> Iterator[Writer]:
    """Yield what takes the rows in key order; publish the folder atomically when the block ends well."""
    with atomic(path) as beside:
        beside.mkdir(exist_ok=True)
        made = Writer(beside, table, path)
        yield made
        made.finish()


def write(path: Path, table: Table, rows: Rows) -> None:
    """Write rows that fit in memory, in any order: sorted by key first.

    Raises:
        BadInput: a row has other columns, a value does not fit its column, a null stands where none may, or a key
            comes twice.
    """
    data = _to_arrow(list(rows), table, 0)
    with writer(path, table) as made:
        made.add_table(data.sort_by([(column, "ascending") for column in table.key]))


def read(path: Path, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a whole table, or some of its columns, and check it against the contract.

    Raises:
        BadInput: a part is missing, foreign or corrupt, or the rows break the contract; names table, column, count and
            first row.
    """
    found = []
    for part in find_parts(path, table):
        with _opened(part, table) as file:
            found.append(file.read(columns=list(columns) if columns else None))
    data = pa.concat_tables(found)
    _check(data, table, str(path), data.slice(0, 0), 0)
    return data


def batches(
    path: Path,
    table: Table,
    columns: Sequence[str] | None = None,
    max_rows: int = BATCH_ROWS,
    max_bytes: int = BATCH_BYTES,
) -> Iterator[pa.Table]:
    """Read a table some rows at a time, in the order of the key, each checked like `read` does.

    Of about `max_bytes` in memory at most. An empty table is one empty batch.

    Raises:
        BadInput: as `read` does; counts are those of the batch.
    """
    asked = list(columns or table.schema.names)
    num_rows, before = 0, None
    for part in find_parts(path, table):
        with _opened(part, table) as file:
            fitting = file.metadata.num_rows * max_bytes // max(1, _memory_bytes(file, asked))
            for batch in file.iter_batches(min(max_rows, max(1, fitting)), columns=asked):
                data = pa.Table.from_batches([batch])
                _check(data, table, str(part), data.slice(0, 0) if before is None else before, num_rows)
                before, num_rows = data.slice(data.num_rows - 1), num_rows + data.num_rows
                yield data
    if not num_rows:
        yield table.schema.empty_table().select(asked)


def count_rows(path: Path, table: Table) -> int:
    """How many rows a table has, by what its parts say.

    Raises:
        BadInput: a part is missing, foreign or corrupt.
    """
    num_rows = 0
    for part in find_parts(path, table):
        with _opened(part, table) as file:
            num_rows += file.metadata.num_rows
    return num_rows


def merged(paths: Iterable[Path], table: Table, max_rows: int = 64) -> Iterator[dict[str, Any]]:
    """The rows of several tables of a kind in the order of their key, a few of each in memory."""
    streams = (
        (row for batch in batches(path, table, max_rows=max_rows) for row in batch.to_pylist()) for path in paths
    )
    return heapq.merge(*streams, key=itemgetter(*table.key))


def part_name(index: int, num_parts: int) -> str:
    """The file name of a part."""
    return f"part-{index:05d}-of-{num_parts:05d}.parquet"


def find_parts(path: Path, table: Table) -> list[Path]:
    """The part files of a table in their order.

    Raises:
        BadInput: the folder is missing, holds something else as well, or lacks a part.
    """
    remedy = "delete it and run `dvc repro`"
    if not path.exists():
        raise BadInput(f"table {table.name}: {path} is missing; `dvc repro` makes it")
    if not path.is_dir():
        raise BadInput(f"table {table.name}: {path} is a file, not a folder of part files; {remedy}")
    names = sorted(file.name for file in path.iterdir())
    found = [PART.fullmatch(name) for name in names]
    foreign = [name for name, match in zip(names, found, strict=True) if match is None]
    if foreign:
        raise BadInput(
            f"table {table.name}: {path} holds {len(foreign)} file(s) that are no parts, {foreign}; {remedy}"
        )
    num_parts = max((int(match["num_parts"]) for match in found if match), default=1)
    wanted = [part_name(index, num_parts) for index in range(num_parts)]
    if missing := [name for name in wanted if name not in names]:
        raise BadInput(f"table {table.name}: {path} lacks {len(missing)} part(s), first {missing[0]}; {remedy}")
    if surplus := [name for name in names if name not in wanted]:
        raise BadInput(f"table {table.name}: {path} holds parts of two tables, first {surplus[0]}; {remedy}")
    return [path / name for name in wanted]


@contextmanager
def _opened(part: Path, table: Table) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(part) as file:
            _check_schema(file.schema_arrow, table, str(part))
            yield file
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"table {table.name}: {part} is corrupt ({error}); delete it and run `dvc repro`") from None


def _memory_bytes(file: pq.ParquetFile, columns: Sequence[str]) -> int:
    """About how many bytes these columns have in memory: more than in the file, where values that recur stand once."""
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    leaves = [group.column(index) for group in groups for index in range(group.num_columns)]
    asked = [leaf for leaf in leaves if leaf.path_in_schema.split(".")[0] in columns]
    return sum(max(leaf.total_uncompressed_size, 4 * leaf.num_values) for leaf in asked)


def _row_bytes(data: pa.Table) -> np.ndarray:
    """About how many bytes each row has in memory."""
    return sum((_value_bytes(column) for column in data.columns), np.zeros(data.num_rows, np.int64))


def _value_bytes(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_string(column.type):
        return pc.fill_null(pc.binary_length(column), 0).to_numpy().astype(np.int64) + 4
    if pa.types.is_list(column.type):
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        ends = np.concatenate([[0], _value_bytes(pc.list_flatten(column)).cumsum()])
        last = lengths.cumsum()
        return ends[last] - ends[last - lengths] + 4
    return np.full(len(column), max(1, column.type.bit_width // 8), np.int64)


def _to_arrow(rows: Sequence[Mapping[str, Any]], table: Table, first: int) -> pa.Table:
    names = set(table.schema.names)
    for index, row in enumerate(rows, first):
        if row.keys() != names:
            missing, unknown = sorted(names - row.keys()), sorted(row.keys() - names)
            raise BadInput(f"table {table.name}: row {index}: columns missing {missing}, columns unknown {unknown}")
    return pa.Table.from_arrays([_array(rows, field, table, first) for field in table.schema], schema=table.schema)


def _array(rows: Sequence[Mapping[str, Any]], field: pa.Field, table: Table, start: int) -> pa.Array:
    values = [row[field.name] for row in rows]
    try:
        return pa.array(values, type=field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        bad = [index for index, value in enumerate(values) if not _fits(value, field.type)]
        key = {name: rows[bad[0]][name] for name in table.key} if bad else {}
        first = f"; first at row {start + bad[0]} {key}" if bad else ""
        raise BadInput(
            f"table {table.name}, column {field.name}: {len(bad)} value(s) do not fit {field.type} ({error}){first}"
        ) from None


def _fits(value: object, kind: pa.DataType) -> bool:
    try:
        pa.array([value], type=kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def _check_schema(stored: pa.Schema, table: Table, path: str) -> None:
    missing = [name for name in table.schema.names if name not in stored.names]
    unknown = [name for name in stored.names if name not in table.schema.names]
    if missing or unknown:
        raise BadInput(f"table {table.name}: {path} has columns missing {missing} and columns unknown {unknown}")
    for expected, found in zip(table.schema, stored, strict=True):
        if expected.name != found.name:
            raise BadInput(f"table {table.name}: {path} has column {found.name} where {expected.name} belongs")
        if expected.type != found.type:
            raise BadInput(
                f"table {table.name}, column {expected.name}: {path} holds {found.type}, not {expected.type}"
            )


def _check(data: pa.Table, table: Table, path: str, before: pa.Table, start: int) -> None:
    """Hold rows against the contract. `before` is the row before them, if any; `start` the number of the first."""
    for field in table.schema:
        if field.nullable or field.name not in data.column_names:
            continue
        column = data.column(field.name)
        if column.null_count:
            first = pc.index(pc.is_null(column), True).as_py()
            raise BadInput(
                f"table {table.name}, column {field.name}: {column.null_count} null value(s) in {path}; "
                f"first at row {start + first} {_key_of(data, table, first)}"
            )
    if all(name in data.column_names for name in table.key):
        _check_order(data, table, path, before, start)


def _check_order(data: pa.Table, table: Table, path: str, before: pa.Table, start: int) -> None:
    """Every key comes after the one before it."""
    keys = pa.concat_tables([part.select(list(table.key)) for part in (before, data)])
    size = max(0, keys.num_rows - 1)
    is_less, is_equal = pa.array(np.zeros(size, bool)), pa.array(np.ones(size, bool))
    for name in table.key:
        earlier, later = keys[name].slice(0, size), keys[name].slice(1)
        is_less = pc.or_(is_less, pc.and_(is_equal, pc.less(later, earlier)))
        is_equal = pc.and_(is_equal, pc.equal(later, earlier))
    for is_bad, what in ((is_equal, "duplicate key(s)"), (is_less, "row(s) out of the order of their key")):
        if num_bad := pc.sum(is_bad).as_py():
            first = pc.index(is_bad, True).as_py() + 1 - before.num_rows
            raise BadInput(
                f"table {table.name}, column {'+'.join(table.key)}: {num_bad} {what} in {path}; "
                f"first at row {start + first} {_key_of(data, table, first)}"
            )


def _key_of(data: pa.Table, table: Table, index: int) -> dict[str, Any]:
    return {name: data[name][index].as_py() for name in table.key if name in data.column_names}

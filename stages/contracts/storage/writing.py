"""Writing tables: rows in the order of their key, part by part, published whole or not at all.

Where a part ends depends on the rows alone: not on how many were written at a time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int

from stages.contracts.storage.contract import Table, check_rows, part_name
from stages.running.errors import BadInput
from stages.running.publish import atomic

PART_ROWS, PART_BYTES = 2**17, 2**26
BATCH_ROWS = 2**14

Rows = Iterable[Mapping[str, Any]]


class Writer:
    """Writes a table's rows, given in the order of their key, part by part into a folder."""

    def __init__(self, folder: Path, table: Table, path: Path) -> None:
        self.num_rows = 0
        self._folder, self._table, self._path = folder, table, path
        self._held: list[pa.Table] = []
        self._rows_held = self._bytes_held = self._num_parts = 0
        self._last = table.schema.empty_table()

    def add(self, rows: Rows) -> None:
        """Write the next rows.

        Raises:
            BadInput: a row has other columns, a value does not fit its column, a null stands where
                none may, or a key does not come after the one before it.
        """
        left = iter(rows)
        while batch := list(islice(left, BATCH_ROWS)):
            self.add_table(_to_arrow(batch, self._table, self.num_rows))

    def add_table(self, data: pa.Table) -> None:
        """`add`, of rows that Arrow holds already, in the table's schema."""
        check_rows(data, self._table, str(self._path), self._last, self.num_rows)
        if not data.num_rows:
            return
        self._last = data.slice(data.num_rows - 1)
        self.num_rows += data.num_rows
        ends = _row_bytes(data).cumsum()
        start = 0
        while start < data.num_rows:
            taken = ends[start - 1] if start else 0
            fitting = (
                int(np.searchsorted(ends, taken + PART_BYTES - self._bytes_held, side="right"))
                - start
            )
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
        path = self._folder / str(self._num_parts)
        pq.write_table(whole, path, compression="zstd", write_page_checksum=True)
        self._num_parts += 1
        self._held, self._rows_held, self._bytes_held = [], 0, 0


@contextmanager
def table_writer(path: Path, table: Table) -> Iterator[Writer]:
    """Yield what takes the rows in key order; publish the folder when the block ends well."""
    with atomic(path) as beside:
        beside.mkdir(exist_ok=True)
        made = Writer(beside, table, path)
        yield made
        made.finish()


def write_table(path: Path, table: Table, rows: Rows) -> None:
    """Write rows that fit in memory, in any order: sorted by key first.

    Raises:
        BadInput: a row has other columns, a value does not fit its column, a null stands where none
            may, or a key comes twice.
    """
    data = _to_arrow(list(rows), table, 0)
    with table_writer(path, table) as made:
        made.add_table(data.sort_by([(column, "ascending") for column in table.key]))


def _row_bytes(data: pa.Table) -> Int[np.ndarray, " row"]:
    """About how many bytes each row has in memory."""
    return sum((_value_bytes(column) for column in data.columns), np.zeros(data.num_rows, np.int64))


def _value_bytes(column: pa.ChunkedArray) -> Int[np.ndarray, " value"]:
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
            raise BadInput(
                f"table {table.name}: row {index}: columns missing {missing}, columns unknown "
                f"{unknown}"
            )
    return pa.Table.from_arrays(
        [_array(rows, field, table, first) for field in table.schema], schema=table.schema
    )


def _array(
    rows: Sequence[Mapping[str, Any]], field: pa.Field, table: Table, start: int
) -> pa.Array:
    values = [row[field.name] for row in rows]
    try:
        return pa.array(values, type=field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        bad = [index for index, value in enumerate(values) if not _fits(value, field.type)]
        key = {name: rows[bad[0]][name] for name in table.key} if bad else {}
        first = f"; first at row {start + bad[0]} {key}" if bad else ""
        raise BadInput(
            f"table {table.name}, column {field.name}: {len(bad)} value(s) do not fit {field.type} "
            f"({error}){first}"
        ) from None


def _fits(value: object, kind: pa.DataType) -> bool:
    try:
        pa.array([value], type=kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True

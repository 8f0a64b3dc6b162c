"""Reading tables: whole, or some rows at a time, checked against their contract either way.

A file from before a column was added or changed is read as if written today: a nullable column that
it lacks is filled with nulls, a changed one is converted as its table says.
"""

import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.contracts.storage.contract import Table, check_rows, check_schema, part_name
from stages.running.errors import REMEDY, BadInput, lack_of

BATCH_ROWS, BATCH_BYTES = 2**14, 2**24
PART = re.compile(r"part-(?P<index>\d{5})-of-(?P<num_parts>\d{5})\.parquet")


def read_table(path: Path, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a whole table, or some of its columns, and check it against the contract.

    Raises:
        BadInput: a part is missing, foreign or corrupt, or the rows break the contract; names
            table, column, count and first row.
    """
    asked = list(columns or table.schema.names)
    found = []
    for part in find_parts(path, table):
        with _opened(part, table) as file:
            stored = _stored_columns(file, table, asked)
            found.append(_as_of_today(file.read(columns=stored), table, asked))
    data = pa.concat_tables(found)
    check_rows(data, table, str(path), data.slice(0, 0), 0)
    return data


def read_batches(
    path: Path,
    table: Table,
    columns: Sequence[str] | None = None,
    max_rows: int = BATCH_ROWS,
    max_bytes: int = BATCH_BYTES,
) -> Iterator[pa.Table]:
    """Read a table some rows at a time, in the order of the key, each checked like `read` does.

    Of about `max_bytes` in memory at most. An empty table is one empty batch.

    Raises:
        BadInput: as `read_table` does; counts are those of the batch.
    """
    asked = list(columns or table.schema.names)
    num_rows, before = 0, None
    for part in find_parts(path, table):
        with _opened(part, table) as file:
            stored = _stored_columns(file, table, asked)
            fitting = file.metadata.num_rows * max_bytes // max(1, _memory_bytes(file, stored))
            for batch in file.iter_batches(min(max_rows, max(1, fitting)), columns=stored):
                data = _as_of_today(pa.Table.from_batches([batch]), table, asked)
                check_rows(
                    data, table, str(part), data.slice(0, 0) if before is None else before, num_rows
                )
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


def merge_rows(paths: Iterable[Path], table: Table, max_rows: int = 64) -> Iterator[dict[str, Any]]:
    """The rows of several tables of a kind in the order of their key, a few of each in memory."""
    streams = (
        (row for batch in read_batches(path, table, max_rows=max_rows) for row in batch.to_pylist())
        for path in paths
    )
    return heapq.merge(*streams, key=itemgetter(*table.key))


def find_parts(path: Path, table: Table) -> list[Path]:
    """The part files of a table in their order.

    Raises:
        BadInput: the folder is missing, holds something else as well, lacks a part, or has one that
            is no regular file: to open a pipe is to wait for whoever writes into it.
    """
    if not path.exists():
        raise BadInput(f"table {table.name}: {path} is missing; `dvc repro` makes it")
    if not path.is_dir():
        raise BadInput(
            f"table {table.name}: {path} is a file, not a folder of part files; {REMEDY}"
        )
    names = sorted(file.name for file in path.iterdir())
    matches = [PART.fullmatch(name) for name in names]
    foreign = [name for name, match in zip(names, matches, strict=True) if match is None]
    if foreign:
        raise BadInput(
            f"table {table.name}: {path} holds {len(foreign)} file(s) that are no parts, "
            f"{foreign}; {REMEDY}"
        )
    num_parts = max((int(match["num_parts"]) for match in matches if match), default=1)
    wanted = [part_name(index, num_parts) for index in range(num_parts)]
    if missing := [name for name in wanted if name not in names]:
        raise BadInput(
            f"table {table.name}: {path} lacks {len(missing)} part(s), first {missing[0]}; {REMEDY}"
        )
    if surplus := [name for name in names if name not in wanted]:
        raise BadInput(
            f"table {table.name}: {path} holds parts of two tables, first {surplus[0]}; {REMEDY}"
        )
    if irregular := [name for name in wanted if not (path / name).is_file()]:
        raise BadInput(
            f"table {table.name}: {path} holds {len(irregular)} part(s) that are no regular files, "
            f"first {irregular[0]}; {REMEDY}"
        )
    return [path / name for name in wanted]


@contextmanager
def _opened(part: Path, table: Table) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(part, page_checksum_verification=True) as file:
            check_schema(file.schema_arrow, table, str(part))
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if lack_of(error):
            raise
        raise BadInput(f"table {table.name}: {part} is corrupt ({error}); {REMEDY}") from None


def _stored_columns(file: pq.ParquetFile, table: Table, asked: Sequence[str]) -> list[str]:
    """The columns of a file that hold, or make, those asked for; its key where none does."""
    names = file.schema_arrow.names
    converted = table.conversions_of(names)
    stored = [name for name in asked if name in names]
    for name in asked:
        if name in converted:
            stored += [made_of for made_of in converted[name].inputs if made_of not in stored]
    return stored or list(table.key)


def _as_of_today(data: pa.Table, table: Table, asked: Sequence[str]) -> pa.Table:
    """Rows as a file of today would give them."""
    if data.column_names == asked:
        return data
    converted = table.conversions_of(data.column_names)
    fields = [table.schema.field(name) for name in asked]
    columns = []
    for field in fields:
        if field.name in data.column_names:
            columns.append(data[field.name])
        elif field.name in converted:
            columns.append(converted[field.name].make(data))
        else:
            columns.append(pa.nulls(data.num_rows, field.type))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _memory_bytes(file: pq.ParquetFile, columns: Sequence[str]) -> int:
    """About how many bytes these columns have in memory.

    More than in the file, where values that recur stand once.
    """
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    leaves = [group.column(index) for group in groups for index in range(group.num_columns)]
    read_leaves = [leaf for leaf in leaves if leaf.path_in_schema.split(".")[0] in columns]
    return sum(max(leaf.total_uncompressed_size, 4 * leaf.num_values) for leaf in read_leaves)

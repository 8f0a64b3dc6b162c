"""Tables, column by column: the only reader and writer of Parquet in the audit.

Tables of every commit are read. Where a column came or changed with time, an older or newer table
is read as if it had the column asked for; `FILLERS` has them all.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineage.record.errors import AuditError
from lineage.record.lock import File
from lineage.record.store import Store

BATCH_ROWS = 2**17
SAMPLED = 0
"""What `token_origin` has for a token that the policy sampled; a cue or an environment's is not."""


class Filler(NamedTuple):
    """How to make a column that a table does not have, of columns that it has."""

    column: str
    sources: tuple[str, ...]
    make: Callable[[pa.RecordBatch], pa.Array]


@dataclass(frozen=True)
class PartFile:
    """One file of a table, opened."""

    path: str
    file: pq.ParquetFile

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        return self.file.schema_arrow

    @property
    def num_rows(self) -> int:
        """Its rows."""
        return self.file.metadata.num_rows

    def column(self, name: str) -> pa.Array:
        """A whole column."""
        column = self.file.read(columns=[name]).column(0)
        return pa.concat_arrays([pa.array([], column.type), *column.chunks])

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns, some rows at a time.

        Raises:
            AuditError: it lacks a column.
        """
        fillers = self._fillers(columns)
        sources = {source for filler in fillers for source in filler.sources}
        for batch in self.file.iter_batches(BATCH_ROWS, columns=sorted(sources)):
            yield _filled(batch, fillers)

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Some columns as a whole, of lists only their lengths.

        Raises:
            AuditError: it lacks a column.
        """
        batches = [with_lengths(batch) for batch in self.batches(columns)]
        if not batches:
            none = pa.RecordBatch.from_pylist([], schema=self.schema)
            batches = [with_lengths(_filled(none, self._fillers(columns)))]
        return pa.Table.from_batches(batches)

    def _fillers(self, columns: Sequence[str]) -> list[Filler]:
        names = {*self.schema.names}
        known = {filler.column: filler for filler in FILLERS if names.issuperset(filler.sources)}
        known |= {name: Filler(name, (name,), itemgetter(name)) for name in names}
        missing = [name for name in columns if name not in known]
        if missing:
            raise AuditError(
                f"{self.path} lacks {len(missing)} column(s), first {missing[0]}; "
                "docs/tables.md has all"
            )
        return [known[name] for name in columns]


def open_part(stream: IO[bytes], path: str) -> PartFile:
    """Open one file of a table.

    Raises:
        AuditError: it is no Parquet, or has a column twice, so that readers disagree.
    """
    try:
        part = PartFile(path, pq.ParquetFile(stream, page_checksum_verification=True))
    except pa.ArrowInvalid as error:
        raise AuditError(f"{path} is no Parquet table: {error}") from None
    names = part.schema.names
    if len({*names}) < len(names):
        raise AuditError(f"{path} has a column twice: {names}")
    return part


def batches(store: Store, file: File, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """A table's columns, some rows at a time.

    Raises:
        AuditError: its bytes are nowhere, are no table, or lack a column.
    """
    for stream in store.parts(file):
        yield from open_part(stream, file.path).batches(columns)


def with_lengths(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the lengths of its lists in place of the lists."""
    arrays = [pc.list_value_length(a) if pa.types.is_list(a.type) else a for a in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def numbers(column: pa.Array) -> np.ndarray:
    """A column as numpy has it, by a way that imports no pandas, which would take half a second.

    Raises:
        AuditError: a value is missing.
    """
    if column.null_count:
        raise AuditError(
            f"{column.null_count} value(s) of a table are missing where docs/tables.md allows none"
        )
    return np.from_dlpack(column)


def writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """What writes batches into a file."""
    return pq.ParquetWriter(str(path), schema)


def _filled(batch: pa.RecordBatch, fillers: Sequence[Filler]) -> pa.RecordBatch:
    names = [filler.column for filler in fillers]
    return pa.RecordBatch.from_arrays([filler.make(batch) for filler in fillers], names=names)


def _span_length(batch: pa.RecordBatch) -> pa.Array:
    return pc.subtract(batch["forced_end"], batch["forced_start"])


def _num_not_sampled(batch: pa.RecordBatch) -> pa.Array:
    origin = batch["token_origin"]
    ends = numbers(origin.offsets) - numbers(origin.offsets)[0]
    before = np.concatenate(([0], np.cumsum(numbers(origin.flatten()) != SAMPLED)))
    return pa.array((before[ends[1:]] - before[ends[:-1]]).astype(np.int32))


def _num_given(batch: pa.RecordBatch) -> pa.Array:
    return pc.add(batch["num_cue_tokens"], batch["num_environment_tokens"])


def _no_score(batch: pa.RecordBatch) -> pa.Array:
    return pa.nulls(batch.num_rows, pa.float32())


def _only_temperature(batch: pa.RecordBatch) -> pa.Array:
    return pa.array(np.ones(batch.num_rows), pa.float32())


FILLERS = (
    Filler("num_unsampled_tokens", ("forced_start", "forced_end"), _span_length),
    Filler("num_unsampled_tokens", ("token_origin",), _num_not_sampled),
    Filler("num_forced_tokens", ("num_cue_tokens", "num_environment_tokens"), _num_given),
    Filler("judge_score", (), _no_score),
    Filler("temperature", ("sample_index",), _only_temperature),
    Filler("is_carried", ("is_interpolated",), itemgetter("is_interpolated")),
)
"""Columns that tables of some commits do not have.

Tokens of a rollout that the policy did not sample were once one span, `forced_start` to
`forced_end`; `token_origin` says of each where it comes from, and the ledger may count those of a
cue and of an environment apart. Success at a boundary not probed was once on a line between its
neighbours, and is carried now. A nullable column that came later is null in older tables. Exams had
one temperature, 1, before they said which.
"""

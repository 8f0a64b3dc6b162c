"""Rows into a file, some at a time, whole or not at all."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from lineage.data import tables
from lineage.record.errors import AuditError

ENDINGS = (".parquet", ".csv", ".jsonl")
Write = Callable[[pa.RecordBatch], None]


@contextmanager
def writing(out: Path | None, schema: pa.Schema) -> Iterator[Write | None]:
    """What takes batches for the file `out`, which appears when all are written; None without it.

    Raises:
        AuditError: its ending names no format, or it cannot be written.
    """
    if out is None:
        yield None
        return
    if out.suffix not in ENDINGS:
        raise AuditError(f"--out {out}: choose an ending from {', '.join(ENDINGS)}")
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with _opened(beside, out.suffix, schema) as write:
            yield write
        beside.replace(out)
    except OSError as error:
        raise AuditError(f"--out {out}: {error.strerror or error}") from None
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path, ending: str, schema: pa.Schema) -> Iterator[Write]:
    if ending == ".jsonl":
        with path.open("w", encoding="utf-8") as lines:
            yield lambda batch: lines.writelines(f"{json.dumps(r)}\n" for r in batch.to_pylist())
    elif ending == ".csv":
        with pyarrow.csv.CSVWriter(str(path), schema) as writer:
            yield writer.write_batch
    else:
        with tables.writer(path, schema) as writer:
            yield writer.write_batch

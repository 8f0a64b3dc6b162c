"""Rows into a file, some at a time, whole or not at all."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from lineage.record.errors import AuditError

ENDINGS = (".parquet", ".csv", ".jsonl")


@contextmanager
def writing(out: Path | None, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None] | None]:
    """What takes batches of rows for the file `out`, which appears when all are written; None without a file.

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
def _opened(path: Path, ending: str, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
    if ending == ".jsonl":
        with path.open("w", encoding="utf-8") as lines:
            yield lambda batch: lines.writelines(f"{json.dumps(row)}\n" for row in batch.to_pylist())
    else:
        make = pq.ParquetWriter if ending == ".parquet" else pyarrow.csv.CSVWriter
        with make(str(path), schema) as writer:
            yield writer.write_batch

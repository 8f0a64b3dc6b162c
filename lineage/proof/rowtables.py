"""Columns of the tables that steps wrote, out of the evidence, by the flags that name them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lineage.data.tables import open_part
from lineage.proof.evidence import Evidence
from lineage.record.errors import Finding
from lineage.record.flags import Flag
from lineage.record.lock import Step
from lineage.record.values import Values


@dataclass
class Tables:
    """Reads the tables of an inspection, and counts their rows."""

    evidence: Evidence
    num_rows: int = 0

    def read(self, step: Step | None, flag: Flag, *columns: str) -> pa.Table | None:
        """Some columns; None where there is no such table or its bytes are lost: a finding already.

        Of a list column only the lengths are kept.

        Raises:
            AuditError: a column is missing, or a file is no Parquet.
        """
        out = step.written(flag) if step else None
        files = self.evidence.files_of(out) if out else []
        parts = []
        for path in sorted(file.path for file in files if not file.is_list):
            stream = self.evidence.open(path)
            if stream is None:
                return None
            with stream:
                part = open_part(stream, path)
                parts.append(part.table(columns))
                self.num_rows += part.num_rows
        return pa.concat_tables(parts) if parts else None

    def metrics(self, step: Step) -> Values:
        """The metrics that a step wrote; none where their bytes are nowhere."""
        return self.json_of(step, Flag.METRICS) or {}

    def json_of(self, step: Step, flag: Flag) -> Values | None:
        """A file of JSON that a step wrote; None where its bytes are nowhere."""
        out = step.written(flag)
        stream = self.evidence.open(out.path) if out else None
        if stream is None:
            return None
        with stream:
            return json.loads(stream.read())


def bad_rows(step: Step, is_bad: pa.Array, names: pa.ChunkedArray, what: str) -> Iterator[Finding]:
    """A finding where any row is bad, or cannot be told: how many, and the first by name."""
    is_bad = pc.fill_null(is_bad, True)
    if num := pc.sum(is_bad).as_py():
        first = names.filter(is_bad)[0].as_py()
        yield Finding("rows", step.name, f"{num} {what}; the first {first}")


def same_ids(
    step: Step, what: str, ids: pa.ChunkedArray, wanted: pa.ChunkedArray
) -> Iterator[Finding]:
    """A finding where rows are not of their rollouts, one each and in their order."""
    if not ids.equals(wanted):
        lost = pc.sum(pc.invert(pc.is_in(wanted, ids))).as_py() or 0
        stray = pc.sum(pc.invert(pc.is_in(ids, wanted))).as_py() or 0
        how = "rows repeat or are in another order"
        if lost or stray:
            how = f"{lost} rollouts have no row, {stray} rows no rollout"
        yield Finding("rows", step.name, f"its {what} are not of its rollouts: {how}")

"""Tables in memory as evidence of steps, for checks of rows."""

from collections.abc import Mapping
from functools import partial
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from lineage.proof.evidence import Evidence, OutputFile
from lineage.record.graph import Graph
from lineage.record.lock import File, Step


def step(name: str, reads: Mapping[str, str], writes: Mapping[str, str]) -> Step:
    """A step that reads and writes some paths, by flag."""
    flags = " ".join(f"--{flag} {path}" for flag, path in {**reads, **writes}.items())
    deps, outs = files(reads), files(writes)
    return Step(name, f"python -m stages.{name.partition('@')[0]} {flags}", deps, outs, {})


def files(paths: Mapping[str, str]) -> tuple[File, ...]:
    return tuple(File(path, f"md5 of {path}", 1) for path in paths.values())


def graph_of(*steps: Step) -> Graph:
    return Graph.of({each.name: each for each in steps})


def evidence_of(tables: Mapping[str, pa.Table], files: Mapping[str, bytes] = {}) -> Evidence:
    """Tables and other files by path, all with right bytes."""
    evidence = Evidence()
    contents = dict(files)
    for path, table in tables.items():
        stream = BytesIO()
        pq.write_table(table, stream)
        contents[path] = stream.getvalue()
    for path, content in contents.items():
        evidence.files[path] = OutputFile(path, f"md5 of {path}")
        evidence.openers[f"md5 of {path}"] = partial(BytesIO, content)
    return evidence

"""What a policy was trained on: the tables that its ancestors' training steps read, by dvc.lock, oldest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lineage.record.errors import AuditError
from lineage.record.graph import Graph
from lineage.record.lock import File, Step
from lineage.record.store import Store

BATCH_ROWS = 2**17
DEMONSTRATION, ROLLOUT, JUDGEMENT = "demonstration", "rollout", "judgement"


@dataclass(frozen=True)
class Source:
    """One table that a training step read."""

    generation: str
    """The policy it trained; `judge <name>` where it trained a judge, whose rewards trained a policy."""
    kind: str
    step: Step
    table: File
    """One row per row trained on: demos, or rollouts."""
    ledger: File | None
    """What became of each rollout; None for other kinds."""
    problems: File
    sampler: File | None
    """The policy that sampled the rollouts, whose tokens they hold; None for demonstrations."""
    epochs: int | None
    """How often each row was gone through; None where the params do not say."""


def sources(graph: Graph, policy: str) -> list[Source]:
    """All that trained a policy, its ancestors, the references it was held near, and the judges that rewarded them.

    Raises:
        AuditError: there is no such policy, or a training step names no table among its inputs.
    """
    found = []
    for step in graph.ancestors(graph.policy(policy)):
        if step.group == "sft":
            demos, problems = given(step, "demos"), given(step, "problems")
            found.append(Source(step.key, DEMONSTRATION, step, demos, None, problems, None, _epochs(step)))
        elif step.group in ("update", "judge"):
            found.append(_of_rollouts(graph, step))
    return found


def checkpoints(graph: Graph, policy: str) -> list[str]:
    """Policies from elsewhere that an ancestor began from: what trained those is not known here."""
    models = (
        (step.key, value)
        for step in graph.ancestors(graph.policy(policy))
        for key, value in step.params.items()
        if step.group == "sft" and key.endswith(".model") and "checkpoint" in value
    )
    return [f"{key} began from {value['checkpoint']} (sha256 {value['sha256'][:12]})" for key, value in models]


def given(step: Step, flag: str) -> File:
    """The input given to a step by a flag.

    Raises:
        AuditError: the flag is missing or names no input.
    """
    path = step.flags.get(flag)
    found = next((dep for dep in step.deps if dep.path == path), None)
    if found is None:
        raise AuditError(
            f"dvc.lock: step {step.name} names no {flag} among its inputs, so what it read is not known; "
            f"`dvc repro {step.name}` makes the entry anew"
        )
    return found


def batches(store: Store, file: File, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """A table's columns, some rows at a time.

    Raises:
        AuditError: its bytes are nowhere, are no table, or lack a column.
    """
    for part in store.parts(file):
        try:
            table = pq.ParquetFile(part)
        except pa.ArrowInvalid as error:
            raise AuditError(f"{file.path} is no Parquet table: {error}") from None
        missing = [column for column in columns if column not in table.schema_arrow.names]
        if missing:
            raise AuditError(f"{file.path} lacks {len(missing)} column(s), first {missing[0]}; docs/tables.md has all")
        yield from table.iter_batches(BATCH_ROWS, columns=list(columns))


def numbers(column: pa.Array) -> np.ndarray:
    """A column as numpy has it. `to_numpy` would import pandas, by which answers take half a second longer.

    Raises:
        AuditError: a value is missing.
    """
    if column.null_count:
        raise AuditError(f"{column.null_count} value(s) of a table are missing where docs/tables.md allows none")
    return np.from_dlpack(column)


def _of_rollouts(graph: Graph, step: Step) -> Source:
    rollouts = given(step, "rollouts")
    sampling = graph.maker(rollouts.path)
    if sampling is None:
        raise AuditError(f"dvc.lock: no step made {rollouts.path}, which {step.name} read; `dvc repro` makes it")
    is_update = step.group == "update"
    ledger = step.written("ledger") if is_update else None
    if is_update and ledger is None:
        raise AuditError(f"dvc.lock: step {step.name} names no ledger among its outputs; `dvc repro {step.name}`")
    return Source(
        step.key if is_update else f"judge {step.key}",
        ROLLOUT if is_update else JUDGEMENT,
        step,
        rollouts,
        ledger,
        given(sampling, "problems"),
        given(sampling, "policy"),
        _epochs(step),
    )


def _epochs(step: Step) -> int | None:
    for key, value in step.params.items():
        if key.endswith((".sft", ".update")):
            return value.get("epochs")
        if step.group == "judge" and key == f"judges.{step.key}":
            return value.get("sft", {}).get("epochs")
    return None

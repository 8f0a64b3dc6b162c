"""What two policies differ by in their tables: problems, demonstrations, rollouts, and how these were rewarded.

A row is known by what it says, not by its id: two rounds that sampled the same completion of the same problem share a
row. Rows stream through, eight bytes of each are kept.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineage.record.ancestry import Generation
from lineage.record.audit import Audit
from lineage.record.errors import AuditError
from lineage.record.lock import File, Step
from lineage.record.store import Store

ROW_BYTES = 8
BATCH_ROWS = 65536
NONE = np.empty(0, np.uint64)
SEPARATOR = pa.scalar("\x1f")  # a plain string would import pandas, by which answers take half a second longer
SAYS = {
    "problems": ("problem_id", "split", "difficulty", "prompt", "answer", "metadata"),
    "demos": ("problem_id", "text"),
    "rollouts": ("problem_id", "completion_tokens"),
}
"""Tables by the flag that names them, and the columns that say what a row is."""


@dataclass(frozen=True)
class Reader:
    """The tables of one policy's ancestors; the same bytes are read once."""

    store: Store
    steps: Sequence[Step]
    _read: dict[Any, Any]

    @classmethod
    def of(cls, audit: Audit, policy: str, read: dict[Any, Any]) -> "Reader":
        """All that came before a policy. Readers that share `read` share what they read."""
        return cls(audit.store, audit.graph.ancestors(audit.graph.policy(policy)), read)

    def files(self, flag: str) -> list[File]:
        """The tables that a flag names where they are written."""
        return [file for step in self.steps if (file := step.written(flag))]

    def rows(self, flag: str, file: File) -> tuple[np.ndarray, np.ndarray]:
        """Eight bytes of each row, and of each problem.

        Raises:
            AuditError: the table is nowhere.
        """
        return self._once((file.md5, flag), lambda: _rows(self.store, file, SAYS[flag]))

    def rewards(self, file: File) -> dict[str, Any]:
        """Mean reward and counted verdicts of a table of scores.

        Raises:
            AuditError: the table is nowhere.
        """
        return self._once((file.md5, "rewards"), lambda: _rewards(self.store, file))

    def _once(self, key: Any, read: Callable[[], Any]) -> Any:
        if key not in self._read:
            self._read[key] = read()
        return self._read[key]


def tables(before: Reader, after: Reader) -> list[dict[str, Any]]:
    """Rows and problems of each kind of table, shared and of one side only; the reason where one is not known."""
    return [_table(flag, before, after) for flag in SAYS]


def _table(flag: str, before: Reader, after: Reader) -> dict[str, Any]:
    try:
        (then, asked_then), (now, asked_now) = (_whole(flag, side) for side in (before, after))
    except AuditError as error:
        return {"table": flag, "unknown": str(error)}
    return {
        "table": flag,
        "before": {"rows": len(then), "problems": len(asked_then)},
        "after": {"rows": len(now), "problems": len(asked_now)},
        "rows_only_before": int((~np.isin(then, now)).sum()),
        "rows_only_after": int((~np.isin(now, then)).sum()),
        "shared_problems": len(np.intersect1d(asked_then, asked_now, assume_unique=True)),
        "unknown": None,
    }


def _whole(flag: str, side: Reader) -> tuple[np.ndarray, np.ndarray]:
    """Rows and problems of all tables of a kind."""
    read = [(NONE, NONE), *(side.rows(flag, file) for file in side.files(flag))]
    rows, problems = (np.concatenate(parts) for parts in zip(*read, strict=True))
    return rows, np.unique(problems)


def rewards(
    before: Reader, earlier: Sequence[Generation], after: Reader, later: Sequence[Generation]
) -> list[dict[str, Any]]:
    """Mean reward and verdicts of each round, those of both chains side by side."""
    found = []
    for sides in zip_longest(_rounds(earlier), _rounds(later)):
        told = [_round(reader, side) for reader, side in zip((before, after), sides, strict=True)]
        found.append({"before": told[0], "after": told[1]})
    return found


def _rounds(generations: Sequence[Generation]) -> Iterator[tuple[str, File]]:
    for generation in generations:
        file = generation.steps["score"].written("scores") if "score" in generation.steps else None
        if file:
            yield generation.policy, file


def _round(reader: Reader, side: tuple[str, File] | None) -> dict[str, Any] | None:
    if side is None:
        return None
    name, file = side
    try:
        return {"round": name, "md5": file.md5, **reader.rewards(file), "unknown": None}
    except AuditError as error:
        return {"round": name, "md5": file.md5, "unknown": str(error)}


def _rows(store: Store, file: File, columns: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    rows, problems = [NONE], [NONE]
    for batch in _batches(store, file, columns):
        texts = map(_text, batch.columns)
        said = pc.binary_join_element_wise(*texts, SEPARATOR, null_handling="replace", null_replacement="\x1e")
        rows.append(_digests(said))
        problems.append(_digests(pc.unique(batch.column("problem_id"))))
    return np.concatenate(rows), np.unique(np.concatenate(problems))


def _digests(texts: pa.Array) -> np.ndarray:
    digests = (hashlib.blake2b(text.encode(), digest_size=ROW_BYTES).digest() for text in texts.to_pylist())
    return np.frombuffer(b"".join(digests), np.uint64)


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type):
        return pc.binary_join(column.cast(pa.list_(pa.string())), " ")
    return column.cast(pa.string())


def _rewards(store: Store, file: File) -> dict[str, Any]:
    verdicts: Counter[str] = Counter()
    total, judged = 0.0, 0
    for batch in _batches(store, file, ("verdict", "reward")):
        for counted in pc.value_counts(batch.column("verdict")).to_pylist():
            verdicts[counted["values"]] += counted["counts"]
        rewards = batch.column("reward")
        judged += len(rewards) - rewards.null_count
        total += pc.sum(rewards).as_py() or 0.0
    counts: Mapping[str, int] = dict(sorted(verdicts.items()))
    return {"rows": verdicts.total(), "mean_reward": total / judged if judged else None, "verdicts": counts}


def _batches(store: Store, file: File, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for part in store.parts(file):
        yield from pq.ParquetFile(part).iter_batches(BATCH_ROWS, columns=list(columns))

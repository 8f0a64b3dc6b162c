"""What became of the rows of a training table: counted by status, and row by row as `--out` has it.

Rows stream through in batches. What is kept are counts, and a bit for each problem of the problems
table, so memory does not grow with the rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineage.data.tables import batches, numbers
from lineage.data.training import DEMONSTRATION, JUDGEMENT, Source
from lineage.data.writing import Write
from lineage.record.lock import File
from lineage.record.store import Store

TRAINED, JUDGED = "trained", "judged"
WHY = {
    TRAINED: "",
    "errored": "its verifier failed: no reward to learn from",
    "truncated": "it never ended, and the recipe leaves such out",
    "filtered_group": "all rewards of its group are equal",
    "filtered_zero_advantage": "no token has an advantage",
    JUDGED: "it taught or tried a judge, which gave rewards",
}
"""What a row's status means."""
TRAINED_TOKENS, FORCED_TOKENS, UNTRAINED_TOKENS = TOKENS = (
    "num_trained_tokens",
    "num_forced_tokens",
    "num_untrained_tokens",
)
COLUMNS = {DEMONSTRATION: ("demo_id", "problem_id"), JUDGEMENT: ("rollout_id", "problem_id")}
LEDGER = ("rollout_id", "problem_id", "status", *TOKENS, "mean_advantage")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("generation", "kind", "row_id", "problem_id")),
        ("difficulty", pa.int32()),
        *((name, pa.string()) for name in ("status", "why")),
        ("epochs", pa.int32()),
        (TRAINED_TOKENS, pa.int32()),
        ("mean_advantage", pa.float32()),
        ("table_md5", pa.string()),
    ]
)
"""Columns of what `--out` writes. Tokens and advantage are known of rollouts alone."""


class Problems:
    """The problems of a table by their place in it, and which of them a row has trained."""

    def __init__(self, store: Store, file: File) -> None:
        read = [*batches(store, file, ["problem_id", "difficulty"])]
        table = pa.Table.from_batches(read).combine_chunks()
        self.names = table["problem_id"].chunk(0)
        self.difficulty = table["difficulty"].chunk(0)
        self.is_trained = np.zeros(len(self.names), bool)

    def places(self, names: pa.Array) -> pa.Array:
        """Where each problem stands; null for one that is not in the table."""
        return pc.index_in(names, value_set=self.names)


@dataclass
class Count:
    """Rows of one status."""

    is_problem: np.ndarray
    """Whether a row is of the problem, by the problem's place."""
    num_rows: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOKENS, 0))


@dataclass
class Account:
    """What became of the rows of one table."""

    num_problems: int
    """Of the table of problems."""
    counts: dict[str, Count] = field(default_factory=dict)
    num_unknown: int = 0
    first_unknown: str = ""
    """A problem that is in no table."""
    num_both: int = 0
    first_both: str = ""
    """Rows with trained tokens whose status says that they were not trained, or the other way."""

    @property
    def num_rows(self) -> int:
        """Rows of every status."""
        return sum(count.num_rows for count in self.counts.values())

    @property
    def num_tokens(self) -> int:
        """Tokens of every status."""
        return sum(sum(count.tokens.values()) for count in self.counts.values())

    def add(self, source: Source, batch: pa.RecordBatch, places: pa.Array) -> None:
        """Count some rows, whose problems stand at these places."""
        if places.null_count:
            first = batch["problem_id"].filter(places.is_null())[0].as_py()
            self.first_unknown = self.first_unknown or first
            self.num_unknown += places.null_count
        is_known = numbers(places.is_valid().cast(pa.uint8())).astype(bool)
        at = np.zeros(batch.num_rows, np.int32)
        at[is_known] = numbers(places.drop_null())
        for status, has_status in _statuses(source, batch):
            if status not in self.counts:
                self.counts[status] = Count(np.zeros(self.num_problems, bool))
            count = self.counts[status]
            count.num_rows += int(has_status.sum())
            count.is_problem[at[has_status & is_known]] = True
            if source.ledger:
                tokens = {name: numbers(batch[name]) for name in TOKENS}
                for name in TOKENS:
                    count.tokens[name] += int(tokens[name][has_status].sum())
                wrong = UNTRAINED_TOKENS if status == TRAINED else TRAINED_TOKENS
                self._note_both(batch, has_status & (tokens[wrong] > 0))

    def _note_both(self, batch: pa.RecordBatch, is_both: np.ndarray) -> None:
        if is_both.any():
            self.first_both = self.first_both or batch["rollout_id"][int(is_both.argmax())].as_py()
            self.num_both += int(is_both.sum())


def account_of(store: Store, source: Source, problems: Problems, write: Write | None) -> Account:
    """Go through a table's rows."""
    account = Account(len(problems.names))
    columns = LEDGER if source.ledger else COLUMNS[source.kind]
    for batch in batches(store, source.accounted, columns):
        places = problems.places(batch["problem_id"])
        account.add(source, batch, places)
        if write is not None:
            write(_as_written(source, batch, problems.difficulty.take(places)))
    if TRAINED in account.counts:
        problems.is_trained |= account.counts[TRAINED].is_problem
    return account


def generated(store: Store, source: Source) -> tuple[int, int]:
    """Tokens and rollouts that were sampled for an update, by the table of rollouts itself."""
    num_tokens = num_rows = 0
    for batch in batches(store, source.table, ["completion_tokens"]):
        num_tokens += pc.sum(pc.list_value_length(batch["completion_tokens"])).as_py() or 0
        num_rows += batch.num_rows
    return num_tokens, num_rows


def num_trained(tables: Sequence[Problems]) -> int:
    """Different problems that some row was trained on."""
    if len(tables) == 1:
        return int(tables[0].is_trained.sum())
    names = [table.names.filter(pa.array(table.is_trained)) for table in tables]
    return len(pc.unique(pa.chunked_array(names, pa.string())))


def _statuses(source: Source, batch: pa.RecordBatch) -> Iterator[tuple[str, np.ndarray]]:
    """Each status of some rows, and which of them have it."""
    if source.ledger is None:
        yield _only_status(source), np.ones(batch.num_rows, bool)
        return
    coded = batch["status"].dictionary_encode()
    codes = numbers(coded.indices)
    for code, name in enumerate(coded.dictionary.to_pylist()):
        yield name, codes == code


def _only_status(source: Source) -> str:
    return TRAINED if source.kind == DEMONSTRATION else JUDGED


def _as_written(source: Source, batch: pa.RecordBatch, difficulty: pa.Array) -> pa.RecordBatch:
    """The rows as `--out` has them."""
    num_rows, is_ledger = batch.num_rows, source.ledger is not None
    statuses = batch["status"] if is_ledger else _repeat(_only_status(source), num_rows)
    row_id = "demo_id" if source.kind == DEMONSTRATION else "rollout_id"
    columns = {
        "generation": _repeat(source.generation, num_rows),
        "kind": _repeat(source.kind, num_rows),
        "row_id": batch[row_id].cast(pa.string()),
        "problem_id": batch["problem_id"],
        "difficulty": difficulty,
        "status": statuses,
        "why": pa.array([*WHY.values()]).take(pc.index_in(statuses, value_set=pa.array([*WHY]))),
        "epochs": pa.repeat(pa.scalar(source.epochs, pa.int32()), num_rows),
        "table_md5": _repeat(source.accounted.md5, num_rows),
    }
    for name, kind in ((TRAINED_TOKENS, pa.int32()), ("mean_advantage", pa.float32())):
        columns[name] = batch[name] if is_ledger else pa.nulls(num_rows, kind)
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _repeat(value: str, num_rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), num_rows)

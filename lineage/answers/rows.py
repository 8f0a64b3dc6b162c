"""Every row that trained a policy: demonstrations and rollouts of all ancestors, their weight, and what was left out.

Rows stream through in batches. What is kept are counts, and a bit for each problem of the problems table, so memory
does not grow with the rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lineage.data.training import DEMONSTRATION, JUDGEMENT, ROLLOUT, Source, batches, checkpoints, numbers, sources
from lineage.data.writing import writing
from lineage.record.audit import Audit
from lineage.record.errors import Finding
from lineage.record.lock import File
from lineage.record.store import Store
from lineage.telling.words import NOTHING, count

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
TOKENS = ("num_trained_tokens", "num_forced_tokens", "num_untrained_tokens")
COLUMNS = {DEMONSTRATION: ("demo_id", "problem_id"), JUDGEMENT: ("rollout_id", "problem_id")}
LEDGER = ("rollout_id", "problem_id", "status", *TOKENS, "mean_advantage")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("generation", "kind", "row_id", "problem_id")),
        ("difficulty", pa.int32()),
        *((name, pa.string()) for name in ("status", "why")),
        ("epochs", pa.int32()),
        ("num_trained_tokens", pa.int32()),
        ("mean_advantage", pa.float32()),
        ("table_md5", pa.string()),
    ]
)
"""Columns of what `--out` writes. Tokens and advantage are known of rollouts; a demonstration weighs its epochs."""

Write = Callable[[pa.RecordBatch], None]


class Problems:
    """The problems of a table by their place in it, and which of them a row has trained."""

    def __init__(self, store: Store, file: File) -> None:
        parts = pa.Table.from_batches([*batches(store, file, ["problem_id", "difficulty"])]).combine_chunks()
        self.names = parts["problem_id"].chunk(0)
        self.difficulty = parts["difficulty"].chunk(0)
        self.is_trained = np.zeros(len(self.names), bool)

    def places(self, names: pa.Array) -> pa.Array:
        """Where each problem stands; null for one that is not in the table."""
        return pc.index_in(names, value_set=self.names)


@dataclass
class Count:
    """Rows of one status."""

    is_problem: np.ndarray
    num_rows: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOKENS, 0))


@dataclass
class Account:
    """What became of the rows of one table."""

    counts: dict[str, Count] = field(default_factory=dict)
    num_unknown: int = 0
    first_unknown: str = ""
    num_both: int = 0
    first_both: str = ""
    """Rows with trained tokens that say they were not trained, or the other way round."""


def rows(audit: Audit, policy: str, out: Path | None = None) -> dict[str, Any]:
    """Count what trained a policy, generation by generation; write every row to `out`.

    Raises:
        AuditError: a table is nowhere or is none, or `out` cannot be written.
    """
    given = sources(audit.graph, policy)
    known: dict[str, Problems] = {}
    generations, findings = [], []
    with writing(out, SCHEMA) as write:
        for source in given:
            if source.problems.md5 not in known:
                known[source.problems.md5] = Problems(audit.store, source.problems)
            account = read(audit.store, source, known[source.problems.md5], write)
            num_generated, num_rollouts = generated(audit.store, source)
            generations.append(_generation(source, account, num_generated))
            findings += _findings(source, account, num_generated, num_rollouts)
    return {
        "policy": policy,
        "commit": audit.tree.commit,
        "generations": generations,
        "num_problems_trained": num_trained([*known.values()]),
        "unknown": checkpoints(audit.graph, policy),
        "out": None if out is None else str(out),
        "findings": [asdict(finding) for finding in findings],
    }


def read(store: Store, source: Source, problems: Problems, write: Write | None) -> Account:
    """Go through a table's rows."""
    account = Account()
    columns = LEDGER if source.ledger else COLUMNS[source.kind]
    for batch in batches(store, source.ledger or source.table, columns):
        places = problems.places(batch["problem_id"])
        _note_unknown(account, batch, places)
        is_known = numbers(places.is_valid().cast(pa.uint8())).astype(bool)
        at = np.zeros(batch.num_rows, np.int32)
        at[is_known] = numbers(places.drop_null())
        for status, is_own in _statuses(source, batch):
            if status not in account.counts:
                account.counts[status] = Count(np.zeros(len(problems.names), bool))
            counted = account.counts[status]
            counted.num_rows += int(is_own.sum())
            counted.is_problem[at[is_own & is_known]] = True
            if source.ledger:
                tokens = {name: numbers(batch[name]) for name in TOKENS}
                for name in TOKENS:
                    counted.tokens[name] += int(tokens[name][is_own].sum())
                is_wrong = tokens["num_untrained_tokens" if status == TRAINED else "num_trained_tokens"] > 0
                _note_both(account, batch, is_own & is_wrong)
        if write is not None:
            write(_told(source, batch, places, problems))
    if TRAINED in account.counts:
        problems.is_trained |= account.counts[TRAINED].is_problem
    return account


def generated(store: Store, source: Source) -> tuple[int | None, int | None]:
    """Tokens and rollouts that were sampled for an update, by the table of rollouts itself."""
    if source.ledger is None:
        return None, None
    num_tokens = num_rows = 0
    for batch in batches(store, source.table, ["completion_tokens"]):
        num_tokens += pc.sum(pc.list_value_length(batch["completion_tokens"])).as_py() or 0
        num_rows += batch.num_rows
    return num_tokens, num_rows


def num_trained(problems: list[Problems]) -> int:
    """Different problems that some row was trained on."""
    if len(problems) == 1:
        return int(problems[0].is_trained.sum())
    names = [table.names.filter(pa.array(table.is_trained)) for table in problems]
    return len(pc.unique(pa.chunked_array(names, pa.string())))


def text(found: Mapping[str, Any]) -> RenderableType:
    """The counts as a table, for people."""
    shown = Table("generation", "kind", "status", box=None, pad_edge=False, padding=(0, 1))
    for name in ("rows", "problems", "trained", "forced", "left out", "tokens"):
        shown.add_column(name, justify="right", no_wrap=True)
    for generation in found["generations"]:
        sums = [generation["sum"]] if len(generation["rows"]) > 1 else []
        for number, row in enumerate([*generation["rows"], *sums]):
            first = ("", "") if number else (generation["generation"], generation["kind"])
            tokens = [NOTHING if row[name] is None else count(row[name]) for name in (*TOKENS, "num_tokens")]
            problems = count(row["num_problems"]) if "num_problems" in row else ""
            shown.add_row(*first, _short(row["status"]), count(row["num_rows"]), problems, *tokens)
    statuses = {row["status"] for generation in found["generations"] for row in generation["rows"]}
    lines = [f"{_short(status)}: {why}" for status, why in WHY.items() if why and status in statuses]
    lines += [f"{count(found['num_problems_trained'])} different problems trained {found['policy']} and its ancestors"]
    lines += [f"not known here: what trained the checkpoint that {told}" for told in found["unknown"]]
    lines += [f"every row is in {found['out']}"] if found["out"] else []
    findings = [Text(str(Finding(**finding)), "red") for finding in found["findings"]]
    return Group(shown, Text(), *map(Text, lines), *findings)


def _short(status: str) -> str:
    return status.removeprefix("filtered_")


def _statuses(source: Source, batch: pa.RecordBatch) -> list[tuple[str, np.ndarray]]:
    if source.ledger is None:
        return [(TRAINED if source.kind == DEMONSTRATION else JUDGED, np.ones(batch.num_rows, bool))]
    coded = batch["status"].dictionary_encode()
    codes = numbers(coded.indices)
    return [(name, codes == code) for code, name in enumerate(coded.dictionary.to_pylist())]


def _note_unknown(account: Account, batch: pa.RecordBatch, places: pa.Array) -> None:
    if places.null_count:
        account.first_unknown = account.first_unknown or batch["problem_id"].filter(places.is_null())[0].as_py()
        account.num_unknown += places.null_count


def _note_both(account: Account, batch: pa.RecordBatch, is_both: np.ndarray) -> None:
    if is_both.any():
        account.first_both = account.first_both or batch["rollout_id"][int(is_both.argmax())].as_py()
        account.num_both += int(is_both.sum())


def _told(source: Source, batch: pa.RecordBatch, places: pa.Array, problems: Problems) -> pa.RecordBatch:
    """The batch as `--out` has it."""
    [(status, _), *_] = _statuses(source, batch)
    of_ledger = source.ledger is not None
    statuses = batch["status"] if of_ledger else _repeat(status, batch)
    columns = {
        "generation": _repeat(source.generation, batch),
        "kind": _repeat(source.kind, batch),
        "row_id": batch["rollout_id" if source.kind != DEMONSTRATION else "demo_id"].cast(pa.string()),
        "problem_id": batch["problem_id"],
        "difficulty": problems.difficulty.take(places),
        "status": statuses,
        "why": pa.array([*WHY.values()]).take(pc.index_in(statuses, value_set=pa.array([*WHY]))),
        "epochs": pa.repeat(pa.scalar(source.epochs, pa.int32()), batch.num_rows),
        "num_trained_tokens": batch["num_trained_tokens"] if of_ledger else pa.nulls(batch.num_rows, pa.int32()),
        "mean_advantage": batch["mean_advantage"] if of_ledger else pa.nulls(batch.num_rows, pa.float32()),
        "table_md5": _repeat((source.ledger or source.table).md5, batch),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _repeat(value: str, batch: pa.RecordBatch) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), batch.num_rows)


def _generation(source: Source, account: Account, num_generated: int | None) -> dict[str, Any]:
    told: list[dict[str, Any]] = []
    for status, counted in sorted(account.counts.items(), key=lambda pair: (pair[0] != TRAINED, pair[0])):
        tokens = counted.tokens if source.ledger else dict.fromkeys(TOKENS)
        told.append(
            {
                "status": status,
                "num_rows": counted.num_rows,
                "num_problems": int(counted.is_problem.sum()),
                **tokens,
                "num_tokens": sum(counted.tokens.values()) if source.ledger else None,
            }
        )
    added = {name: sum(row[name] for row in told) if source.ledger else None for name in (*TOKENS, "num_tokens")}
    table = source.ledger or source.table
    return {
        "generation": source.generation,
        "kind": source.kind,
        "table": {"path": table.path, "md5": table.md5},
        "epochs": source.epochs,
        "rows": told,
        "sum": {"status": "sum", "num_rows": sum(row["num_rows"] for row in told), **added},
        "num_generated_tokens": num_generated,
    }


def _findings(source: Source, account: Account, num_generated: int | None, num_rollouts: int | None) -> list[Finding]:
    table, found = source.ledger or source.table, []
    if account.num_unknown:
        message = f"{account.num_unknown} row(s) of problems that {source.problems.path} does not have"
        found.append(Finding("unknown problem", table.path, f"{message}; first {account.first_unknown}"))
    if source.kind != ROLLOUT:
        return found
    odd = sorted(account.counts.keys() - WHY.keys())
    if odd:
        found.append(Finding("unknown status", table.path, f"{len(odd)} status(es) no update gives; first {odd[0]}"))
    if account.num_both:
        message = f"{account.num_both} rollout(s) whose tokens are not what their status says; first"
        found.append(Finding("tokens against status", table.path, f"{message} {account.first_both}"))
    num_rows = sum(counted.num_rows for counted in account.counts.values())
    if num_rows != num_rollouts:
        message = f"accounts for {num_rows} rollout(s), but {source.table.path} has {num_rollouts}"
        found.append(Finding("rollouts unaccounted", table.path, message))
    num_tokens = sum(sum(counted.tokens.values()) for counted in account.counts.values())
    if num_tokens != num_generated:
        message = f"accounts for {num_tokens} token(s), but {source.table.path} has {num_generated}"
        found.append(Finding("tokens unaccounted", table.path, message))
    return found

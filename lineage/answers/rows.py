"""Every row that trained a policy: of all ancestors, with its weight, and what was left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lineage.data.accounts import (
    SCHEMA,
    TOKENS,
    TRAINED,
    WHY,
    Account,
    Problems,
    account_of,
    generated,
    num_trained,
)
from lineage.data.training import ROLLOUT, Source, checkpoints, sources
from lineage.data.writing import writing
from lineage.record.audit import Audit
from lineage.record.errors import Finding
from lineage.record.lock import FileVersion


@dataclass(frozen=True)
class StatusRows:
    """Rows of one status. Tokens are known of rollouts alone."""

    status: str
    num_rows: int
    num_problems: int
    num_trained_tokens: int | None
    num_forced_tokens: int | None
    num_untrained_tokens: int | None
    num_tokens: int | None


@dataclass(frozen=True)
class SumRows:
    """Rows of every status."""

    status: str
    num_rows: int
    num_trained_tokens: int | None
    num_forced_tokens: int | None
    num_untrained_tokens: int | None
    num_tokens: int | None


@dataclass(frozen=True)
class GenerationRows:
    """The rows of one table that a policy was trained on."""

    generation: str
    kind: str
    table: FileVersion
    epochs: int | None
    rows: list[StatusRows]
    sum: SumRows
    num_generated_tokens: int | None


@dataclass(frozen=True)
class Rows:
    """What trained a policy, generation by generation."""

    policy: str
    commit: str
    generations: list[GenerationRows]
    num_problems_trained: int
    unknown: list[str]
    """Checkpoints from elsewhere, whose training data is not known here."""
    out: str | None
    findings: list[Finding]


def rows(audit: Audit, policy: str, out: Path | None = None) -> Rows:
    """Count what trained a policy, generation by generation; write every row to `out`.

    Raises:
        AuditError: a table is nowhere or is none, or `out` cannot be written.
    """
    known: dict[str, Problems] = {}
    generations: list[GenerationRows] = []
    findings: list[Finding] = []
    with writing(out, SCHEMA) as write:
        for source in sources(audit.graph, policy):
            if source.problems.md5 not in known:
                known[source.problems.md5] = Problems(audit.store, source.problems)
            account = account_of(audit.store, source, known[source.problems.md5], write)
            sampled = generated(audit.store, source) if source.ledger else None
            generations.append(_generation(source, account, sampled[0] if sampled else None))
            findings += _strangers(source, account)
            if source.kind == ROLLOUT and sampled:
                findings += _unaccounted(source, account, *sampled)
    return Rows(
        policy=policy,
        commit=audit.tree.commit,
        generations=generations,
        num_problems_trained=num_trained([*known.values()]),
        unknown=checkpoints(audit.graph, policy),
        out=None if out is None else str(out),
        findings=findings,
    )


def _generation(source: Source, account: Account, num_generated: int | None) -> GenerationRows:
    by_status: list[StatusRows] = []
    added: dict[str, int] = dict.fromkeys(TOKENS, 0)
    for status in sorted(account.counts, key=lambda status: (status != TRAINED, status)):
        count = account.counts[status]
        num_problems = int(count.is_problem.sum())
        tokens = _tokens(count.tokens if source.ledger else None)
        by_status.append(StatusRows(status, count.num_rows, num_problems, *tokens))
        added = {name: added[name] + count.tokens[name] for name in TOKENS}
    return GenerationRows(
        generation=source.generation,
        kind=source.kind,
        table=source.accounted.version,
        epochs=source.epochs,
        rows=by_status,
        sum=SumRows("sum", account.num_rows, *_tokens(added if source.ledger else None)),
        num_generated_tokens=num_generated,
    )


def _tokens(
    counts: Mapping[str, int] | None,
) -> tuple[int | None, int | None, int | None, int | None]:
    """Trained, forced and untrained tokens, and their sum."""
    if counts is None:
        return None, None, None, None
    trained, forced, untrained = (counts[name] for name in TOKENS)
    return trained, forced, untrained, trained + forced + untrained


def _strangers(source: Source, account: Account) -> list[Finding]:
    if not account.num_unknown:
        return []
    message = (
        f"{account.num_unknown} row(s) of problems that {source.problems.path} does not have; "
        f"first {account.first_unknown}"
    )
    return [Finding("unknown problem", source.accounted.path, message)]


def _unaccounted(
    source: Source, account: Account, num_generated: int, num_rollouts: int
) -> list[Finding]:
    """What a ledger says that the rollouts do not, or that contradicts itself."""
    messages = {}
    if odd := sorted(account.counts.keys() - WHY.keys()):
        messages["unknown status"] = f"{len(odd)} status(es) no update gives; first {odd[0]}"
    if account.num_both:
        messages["tokens against status"] = (
            f"{account.num_both} rollout(s) whose tokens are not what their status says; "
            f"first {account.first_both}"
        )
    if account.num_rows != num_rollouts:
        messages["rollouts unaccounted"] = (
            f"accounts for {account.num_rows} rollout(s), but {source.table.path} has "
            f"{num_rollouts}"
        )
    if account.num_tokens != num_generated:
        messages["tokens unaccounted"] = (
            f"accounts for {account.num_tokens} token(s), but {source.table.path} has "
            f"{num_generated}"
        )
    path = source.accounted.path
    return [Finding(check, path, message) for check, message in messages.items()]

"""What the gate says of expectations that do not hold."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stages.running.errors import BadInput
from stages.validate.suites import ExpectationResult
from stages.validate.tables import TABLES


def refuse(
    round_id: str,
    found: Mapping[str, Sequence[ExpectationResult]],
    num_rows: Mapping[str, int],
    docs: Path | None,
) -> None:
    """Stop where an expectation does not hold.

    Raises:
        BadInput: one line for each broken expectation, naming table, column, count and first
            offender.
    """
    broken = list(broken_expectations(found))
    if not broken:
        return
    lines = [f"  {explain(name, outcome, num_rows[name])}" for name, outcome in broken]
    seen = f"; all outcomes in {docs / 'index.html'}" if docs else ""
    raise BadInput(
        f"round {round_id}: {len(broken)} expectation(s) broken, so nothing trains on it{seen}:\n"
        + "\n".join(lines)
        + "\nmend the stage that wrote the table (problems: prepare; rollouts: rollout; "
        "scores, segments: score; probes: probe; gains: infogain) or delete its file, then run "
        "`dvc repro`"
    )


def broken_expectations(
    found: Mapping[str, Sequence[ExpectationResult]],
) -> Iterator[tuple[str, ExpectationResult]]:
    """The expectations that do not hold, each with its table."""
    return ((name, outcome) for name in found for outcome in found[name] if not outcome.success)


def explain(table: str, outcome: ExpectationResult, num_rows: int) -> str:
    """One broken expectation in a line: table, column, count, rule and first offender."""
    assert outcome.first is not None
    bounds = ", ".join(f"{key} {value}" for key, value in outcome.bounds.items())
    rule = f"'{outcome.notes}'" + (f" ({bounds})" if bounds else "")
    if outcome.column not in outcome.first:
        observed = outcome.first["observed_value"]
        return f"table {table}, column {outcome.column}: {observed} found; the rule is {rule}"
    key = ", ".join(f"{name}={outcome.first[name]}" for name in TABLES[table].key)
    return (
        f"table {table}, column {outcome.column}: {outcome.unexpected_count} of {num_rows} rows "
        f"break {rule}; first {key} has {outcome.first[outcome.column]}"
    )

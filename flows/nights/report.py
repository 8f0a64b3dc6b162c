"""What came of a night, for people: a page of Markdown."""

from collections.abc import Iterator, Sequence
from typing import Any

Record = dict[str, Any]


def markdown(record: Record) -> str:
    """Verdict, gates with their numbers, drift."""
    return "\n".join(_lines(record))


def _lines(record: Record) -> Iterator[str]:
    before, after = record["champion_before"], record["champion_after"]
    yield f"# Night {record['night']}: {record['verdict']}"
    yield f"\nRound `{record['round']}` from `{before}`; champion is now `{after}`"
    yield from (f"- {why}" for why in record["why"])
    if record["gates"]:
        yield "\n## Gates\n"
        yield from _table(("gate", "passed", "why"), [_gate(gate) for gate in record["gates"]])
        yield "\n## Success at the training budget, new minus champion\n"
        yield from _table(("level", "mean", "low", "high"), [*_differences(record)])
    if record["drift"]:
        yield "\n## Drift\n"
        rows = [_drift(each) for each in record["drift"]]
        yield from _table(("what", "value", "at least", "at most", ""), rows)
    if record["stage"]:
        yield f"\nThe stage's log: `{record['stage']['log']}`"


def _gate(gate: Record) -> tuple[str, str, str]:
    return gate["name"], "yes" if gate["is_passed"] else "**no**", gate["why"]


def _drift(each: Record) -> tuple[Any, ...]:
    mark = "" if each["is_within"] else "**outside**"
    return each["name"], each["value"], each["low"], each["high"], mark


def _differences(record: Record) -> Iterator[tuple[Any, ...]]:
    for gate in record["gates"]:
        for level, numbers in gate["numbers"].items():
            if isinstance(numbers, dict):
                yield level, numbers["mean"], numbers["low"], numbers["high"]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(_cell(value) for value in row)} |"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value).replace("|", "\\|")

"""What came of a night, for people: a page of Markdown."""

from collections.abc import Iterator, Sequence
from typing import Any

Record = dict[str, Any]


def markdown(found: Record) -> str:
    """Verdict, gates with their numbers, drift."""
    return "\n".join(_lines(found))


def _lines(found: Record) -> Iterator[str]:
    yield f"# Night {found['night']}: {found['verdict']}"
    yield f"\nRound `{found['round']}` from `{found['champion_before']}`; champion is now `{found['champion_after']}`"
    yield from (f"- {why}" for why in found["why"])
    if found["gates"]:
        yield "\n## Gates\n"
        yield from _table(("gate", "passed", "why"), [_gate(gate) for gate in found["gates"]])
        yield "\n## Success at the training budget, new minus champion\n"
        yield from _table(("level", "mean", "low", "high"), [*_differences(found)])
    if found["drift"]:
        yield "\n## Drift\n"
        rows = [(each["name"], each["value"], each["low"], each["high"], _mark(each)) for each in found["drift"]]
        yield from _table(("what", "value", "at least", "at most", ""), rows)
    if found["stage"]:
        yield f"\nThe stage's log: `{found['stage']['log']}`"


def _gate(gate: Record) -> tuple[str, str, str]:
    return gate["name"], "yes" if gate["is_passed"] else "**no**", gate["why"]


def _mark(each: Record) -> str:
    return "" if each["is_within"] else "**outside**"


def _differences(found: Record) -> Iterator[tuple[Any, ...]]:
    for gate in found["gates"]:
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

"""A difference of two policies in words: on one line a section, and as tables for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lineage.telling import words

MANY = 4
VALUE_CHARACTERS = 40
ARROW = "\N{RIGHTWARDS ARROW}"


def text(found: Mapping[str, Any]) -> RenderableType:
    """All of it, a heading and a table for each section that differs."""
    sides = [found["before"], found["after"]]
    title = f" {ARROW} ".join(f"{side['policy']} (commit {words.short(side['commit'])})" for side in sides)
    lines = [Text(f"{name}: {line}", no_wrap=False, overflow="fold") for name, line in headlines(found).items()]
    parts: list[RenderableType] = [Text(title, style="bold"), *lines]
    for heading, table in _tables(found):
        if table.row_count:
            parts += [Text(f"\n{heading}", style="bold"), Padding(table, (0, 0, 0, 2))]
    return Group(*parts)


def headlines(found: Mapping[str, Any]) -> dict[str, str]:
    """One line for each section."""
    return {
        "policies": _policies(found),
        "params": f"{len(found['params'])} differ",
        "code": _code(found["code"]),
        "packages": _packages(found["environment"]),
        "data": _data(found["data"]),
        "rewards": _rewards(found["rewards"]),
        "exam": _exam(found),
    }


def _policies(found: Mapping[str, Any]) -> str:
    policies = found["policies"]
    if found["is_equal"]:
        return "the same weights, byte for byte"
    sides = [(found["before"], policies["only_before"]), (found["after"], policies["only_after"])]
    shared = f"{listed(policies['shared'])} in both" if policies["shared"] else "none in both"
    only = (f"{listed(names)} only for {side['policy']}" for side, names in sides if names)
    return "; ".join([shared, *only])


def _code(code: Mapping[str, Any]) -> str:
    only = len(code["only_before"]), len(code["only_after"])
    said = f"{len(code['files'])} files differ, {code['num_same']} are the same"
    if any(only):
        said += f", {only[0]} only before, {only[1]} only after"
    return f"{said}; {code['total'] or 'lines unknown, as a policy is in no commit yet'}"


def _packages(environment: Mapping[str, Any]) -> str:
    pinned = f"{len(environment['pinned'])} pinned otherwise"
    if environment["ran"] is None:
        return f"{pinned}; those that ran are unknown here for {listed(environment['unknown'])}"
    return f"{pinned}; {len(environment['ran'])} ran otherwise"


def _data(tables: Sequence[Mapping[str, Any]]) -> str:
    known = [
        f"{table['table']} {words.count(table['rows_only_before'])} gone, {words.count(table['rows_only_after'])} new"
        for table in tables
        if not table["unknown"]
    ]
    unknown = [f"{table['table']} unknown: {reason(table['unknown'])}" for table in tables if table["unknown"]]
    return "; ".join([*known, *unknown])


def _rewards(rounds: Sequence[Mapping[str, Any]]) -> str:
    unknown = {side["unknown"] for entry in rounds for side in entry.values() if side and side["unknown"]}
    differing = sum(not is_shared(entry) for entry in rounds)
    return f"{differing} of {len(rounds)} rounds differ" + (
        f"; unknown in part: {reason(min(unknown))}" if unknown else ""
    )


def reason(unknown: str) -> str:
    """Why something is not known; what to do about it stands in the JSON."""
    return unknown.partition(";")[0]


def _exam(found: Mapping[str, Any]) -> str:
    exam = found["exam"]
    if exam["missing"]:
        return f"{listed(exam['missing'])} sat none"
    if not exam["is_same_exam"]:
        return "not the same one, so the two cannot be held against each other"
    entry = exam["levels"]["all"][exam["budget_tokens"]]
    means = f"{words.fraction(entry['before']['mean'])} {ARROW} {words.fraction(entry['after']['mean'])}"
    paired = words.signed_interval(entry["difference"]) if exam["is_paired"] else "unknown: not compared in one commit"
    return f"success at {exam['budget_tokens']} tokens {means}; paired difference {paired}"


def _tables(found: Mapping[str, Any]) -> Iterator[tuple[str, Table]]:
    yield (
        "params",
        _table(
            ["key", "before", "after", "at"],
            [[entry["key"], cut(entry["before"]), cut(entry["after"]), at(entry["at"])] for entry in found["params"]],
        ),
    )
    yield (
        "code",
        _table(
            ["file", "+lines", "-lines", "run by"],
            [
                [file["path"], *(_lines(file[side]) for side in ("added", "removed")), ", ".join(file["steps"])]
                for file in found["code"]["files"]
            ],
        ),
    )
    pinned = [[pin["file"], pin["package"], *_then_now(pin)] for pin in found["environment"]["pinned"]]
    ran = [["as it ran", package["package"], *_then_now(package)] for package in found["environment"]["ran"] or ()]
    yield "packages", _table(["where", "package", "before", "after"], pinned + ran)
    yield (
        "data",
        _table(
            ["table", "rows before", "after", "only before", "only after", "problems before", "after", "in both"],
            [_counts(table) for table in found["data"] if not table["unknown"]],
        ),
    )
    yield "rewards", _reward_table(found["rewards"])
    yield "exam", _exam_table(found["exam"])


def _counts(table: Mapping[str, Any]) -> list[str]:
    before, after = table["before"], table["after"]
    numbers = [before["rows"], after["rows"], table["rows_only_before"], table["rows_only_after"]]
    return [
        table["table"],
        *map(words.count, [*numbers, before["problems"], after["problems"], table["shared_problems"]]),
    ]


def _reward_table(rounds: Sequence[Mapping[str, Any]]) -> Table:
    shown = [entry for entry in rounds if not is_shared(entry)]
    verdicts = verdict_names(shown)
    rows = [
        [
            sides(entry, "round"),
            pair(reward(entry["before"]), reward(entry["after"])),
            *(pair(verdict(entry["before"], name), verdict(entry["after"], name)) for name in verdicts),
        ]
        for entry in shown
    ]
    return _table(["round", "mean reward", *verdicts], rows)


def _exam_table(exam: Mapping[str, Any]) -> Table:
    last = max((int(budget) for budget in exam["levels"].get("all", ())), default=0)
    rows = [
        [
            level_name(level),
            budget,
            *map(words.interval, (entry["before"], entry["after"])),
            words.signed_interval(entry["difference"]),
        ]
        for level, budgets in exam["levels"].items()
        for budget in dict.fromkeys((exam["budget_tokens"], str(last)))
        if (entry := budgets.get(budget))
    ]
    return _table(["problems", "tokens", "before", "after", "difference, paired"], rows)


def level_name(level: str) -> str:
    """A level of problems: all, those of one difficulty, those the first policy fails on so often."""
    return level.replace("_", " ")


def verdict_names(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Verdicts that any round has."""
    told = [side for entry in rounds for side in (entry["before"], entry["after"]) if side and not side["unknown"]]
    return sorted({name for side in told for name in side["verdicts"]})


def sides(entry: Mapping[str, Any], name: str) -> str:
    """One word of both sides."""
    return pair(*(entry[side][name] if entry[side] else None for side in ("before", "after")))


def is_shared(entry: Mapping[str, Any]) -> bool:
    """Whether both sides had the very same round."""
    before, after = entry["before"], entry["after"]
    return bool(before and after and before["md5"] == after["md5"])


def reward(side: Mapping[str, Any] | None) -> str | None:
    """Mean reward of a round."""
    if side is None:
        return None
    return words.UNKNOWN if side["unknown"] else words.fraction(side["mean_reward"])


def verdict(side: Mapping[str, Any] | None, name: str) -> str | None:
    """How often a round got a verdict."""
    if side is None:
        return None
    return words.UNKNOWN if side["unknown"] else words.count(side["verdicts"].get(name, 0))


def pair(before: str | None, after: str | None) -> str:
    """Two sides of one thing; once where they are the same."""
    if before == after:
        return before or words.NOTHING
    return f"{before or words.NOTHING} {ARROW} {after or words.NOTHING}"


def at(places: Sequence[Sequence[str]]) -> str:
    """The generations that a difference is at."""
    return listed([pair(*place) for place in places])


def listed(names: Sequence[str]) -> str:
    """Names in a sentence; the first and last and how many, where they are many."""
    if len(names) <= MANY:
        return ", ".join(names)
    return f"{names[0]}, {names[1]} \N{HORIZONTAL ELLIPSIS} {names[-1]} ({len(names)})"


def cut(content: Any) -> str:
    """A params value, its end left out where it is long."""
    told = words.value(content)
    return told if len(told) <= VALUE_CHARACTERS else told[: VALUE_CHARACTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _then_now(entry: Mapping[str, Any]) -> list[str]:
    return [entry[side] or words.NOTHING for side in ("before", "after")]


def _lines(number: int | None) -> str:
    return words.UNKNOWN if number is None else words.count(number)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for place, head in enumerate(heads):
        is_number = bool(rows) and all(row[place].replace(",", "").lstrip("+-").isdigit() for row in rows)
        table.add_column(head, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table

"""A difference of two policies in words: a line a section, as tables for a terminal, as a page."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lineage.answers.changes import CodeDifference, EnvironmentDifference
from lineage.answers.diff import Cell, Diff, ExamDifference
from lineage.data.contents import (
    Rewards,
    RoundPair,
    TableDifference,
    UnknownRewards,
    UnknownTable,
)
from lineage.record.values import Value
from lineage.telling import words
from lineage.telling.page import fill

MANY = 4
VALUE_CHARACTERS = 40
ARROW = "\N{RIGHTWARDS ARROW}"
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"

Round = Rewards | UnknownRewards | None


class Change(Protocol):
    """Something that has a name on either side, or on one."""

    @property
    def before(self) -> str | None:
        """Of the first policy."""

    @property
    def after(self) -> str | None:
        """Of the second."""


def text(answer: Diff) -> RenderableType:
    """All of it, a heading and a table for each section that differs."""
    sides = (answer.before, answer.after)
    title = f" {ARROW} ".join(f"{s.policy} (commit {words.short(s.commit)})" for s in sides)
    parts: list[RenderableType] = [Text(title, style="bold")]
    for name, line in headlines(answer).items():
        parts.append(Text(f"{name}: {line}", no_wrap=False, overflow="fold"))
    for heading, table in _tables(answer):
        if table.row_count:
            parts += [Text(f"\n{heading}", style="bold"), Padding(table, (0, 0, 0, 2))]
    return Group(*parts)


def page(answer: Diff) -> str:
    """The answer as one HTML file."""
    ends = [0.0]
    for level in answer.exam.levels.values():
        for cell in level.values():
            if cell.difference:
                ends += [abs(cell.difference.low or 0.0), abs(cell.difference.high or 0.0)]
    heads, widest = headlines(answer), max(ends) or 1.0
    functions = (level_name, verdict_names, round_names, reward, reward_change, verdict)
    named = {function.__name__: function for function in (*functions, both, places, counts)}
    return fill("diff.html.j2", answer=answer, heads=heads, widest=widest, **named)


def headlines(answer: Diff) -> dict[str, str]:
    """One line for each section."""
    return {
        "policies": _policies(answer),
        "params": f"{len(answer.params)} differ",
        "code": _code(answer.code),
        "packages": _packages(answer.environment),
        "data": _data(answer.data),
        "rewards": _rewards(answer.rewards),
        "exam": _exam(answer.exam),
    }


def _policies(answer: Diff) -> str:
    policies = answer.policies
    if answer.is_equal:
        return "the same weights, byte for byte"
    lines = [f"{abridged(policies.shared)} in both" if policies.shared else "none in both"]
    sides = ((answer.before, policies.only_before), (answer.after, policies.only_after))
    lines += [f"{abridged(names)} only for {side.policy}" for side, names in sides if names]
    return "; ".join(lines)


def _code(code: CodeDifference) -> str:
    only = len(code.only_before), len(code.only_after)
    line = f"{len(code.files)} files differ, {code.num_same} are the same"
    if any(only):
        line += f", {only[0]} only before, {only[1]} only after"
    return f"{line}; {code.total or 'lines unknown, as a policy is in no commit yet'}"


def _packages(environment: EnvironmentDifference) -> str:
    pinned = f"{len(environment.pinned)} pinned otherwise"
    if environment.ran is None:
        return f"{pinned}; those that ran are unknown here for {abridged(environment.unknown)}"
    return f"{pinned}; {len(environment.ran)} ran otherwise"


def _data(tables: Iterable[TableDifference | UnknownTable]) -> str:
    known, unknown = [], []
    for table in tables:
        if isinstance(table, UnknownTable):
            unknown.append(f"{table.table} unknown: {reason(table.unknown)}")
        else:
            gone, new = words.count(table.rows_only_before), words.count(table.rows_only_after)
            known.append(f"{table.table} {gone} gone, {new} new")
    return "; ".join([*known, *unknown])


def _rewards(rounds: Sequence[RoundPair]) -> str:
    sides = [side for pair in rounds for side in (pair.before, pair.after)]
    unknown = {side.unknown for side in sides if isinstance(side, UnknownRewards)}
    line = f"{sum(not pair.is_shared for pair in rounds)} of {len(rounds)} rounds differ"
    return line + (f"; unknown in part: {reason(min(unknown))}" if unknown else "")


def reason(unknown: str) -> str:
    """Why something is not known; what to do about it stands in the JSON."""
    return unknown.partition(";")[0]


def _exam(exam: ExamDifference) -> str:
    if exam.missing:
        return f"no exam of {abridged(exam.missing)}"
    if not exam.is_same_exam:
        return "not the same one, so the two cannot be held against each other"
    cell = exam.levels["all"][str(exam.budget_tokens)]
    means = [words.fraction(side.mean if side else None) for side in (cell.before, cell.after)]
    paired = "unknown: not compared in one commit"
    if exam.is_paired:
        paired = words.signed_interval(cell.difference)
    return (
        f"success at {exam.budget_tokens} tokens {means[0]} {ARROW} {means[1]}; "
        f"paired difference {paired}"
    )


def _tables(answer: Diff) -> Iterator[tuple[str, Table]]:
    rows = [[p.key, cut(p.before), cut(p.after), places(p.at)] for p in answer.params]
    yield "params", _table(["key", "before", "after", "at"], rows)
    rows = []
    for file in answer.code.files:
        rows.append(
            [file.path, *map(words.count, (file.added, file.removed)), ", ".join(file.steps)]
        )
    yield "code", _table(["file", "+lines", "-lines", "run by"], rows)
    rows = [[p.file, p.package, *_then_now(p)] for p in answer.environment.pinned]
    rows += [["as it ran", p.package, *_then_now(p)] for p in answer.environment.ran or ()]
    yield "packages", _table(["where", "package", "before", "after"], rows)
    heads = ["table", "rows before", "after", "only before", "only after"]
    heads += ["problems before", "after", "in both"]
    known = [table for table in answer.data if isinstance(table, TableDifference)]
    yield "data", _table(heads, [[t.table, *map(words.count, counts(t))] for t in known])
    yield "rewards", _reward_table(answer.rewards)
    yield "exam", _exam_table(answer.exam)


def counts(table: TableDifference) -> list[int]:
    """Rows and problems of a kind of table, as the columns are."""
    before, after = table.before, table.after
    rows = [before.rows, after.rows, table.rows_only_before, table.rows_only_after]
    return [*rows, before.problems, after.problems, table.shared_problems]


def _reward_table(rounds: Sequence[RoundPair]) -> Table:
    differing = [pair for pair in rounds if not pair.is_shared]
    verdicts = verdict_names(differing)
    rows = []
    for pair in differing:
        row = [round_names(pair), both(reward(pair.before), reward(pair.after))]
        for name in verdicts:
            row.append(both(verdict(pair.before, name), verdict(pair.after, name)))
        rows.append(row)
    return _table(["round", "mean reward", *verdicts], rows)


def _exam_table(exam: ExamDifference) -> Table:
    last = max((int(budget) for budget in exam.levels.get("all", ())), default=0)
    rows = []
    for level, cells in exam.levels.items():
        for budget in dict.fromkeys((str(exam.budget_tokens), str(last))):
            if cell := cells.get(budget):
                rows.append([level_name(level), budget, *_cell(cell)])
    return _table(["problems", "tokens", "before", "after", "difference, paired"], rows)


def _cell(cell: Cell) -> list[str]:
    estimates = [words.interval(cell.before), words.interval(cell.after)]
    return [*estimates, words.signed_interval(cell.difference)]


def level_name(level: str) -> str:
    """A level of problems: all, those of a difficulty, those the first policy fails on so often."""
    return level.replace("_", " ")


def verdict_names(rounds: Iterable[RoundPair]) -> list[str]:
    """Verdicts that any round has."""
    names: set[str] = set()
    for pair in rounds:
        for side in (pair.before, pair.after):
            if isinstance(side, Rewards):
                names |= side.verdicts.keys()
    return sorted(names)


def round_names(pair: RoundPair) -> str:
    """The names of a round on both sides."""
    return both(*(side.round if side else None for side in (pair.before, pair.after)))


def reward(side: Round) -> str | None:
    """Mean reward of a round."""
    if side is None:
        return None
    return words.fraction(side.mean_reward) if isinstance(side, Rewards) else words.UNKNOWN


def reward_change(pair: RoundPair) -> float | None:
    """Mean reward of the later side minus that of the earlier; None where one is not known."""
    means = [side.mean_reward for side in (pair.before, pair.after) if isinstance(side, Rewards)]
    known = [mean for mean in means if mean is not None]
    return known[1] - known[0] if len(known) == len((pair.before, pair.after)) else None


def verdict(side: Round, name: str) -> str | None:
    """How often a round got a verdict."""
    if side is None:
        return None
    return words.count(side.verdicts.get(name, 0)) if isinstance(side, Rewards) else words.UNKNOWN


def both(before: str | None, after: str | None) -> str:
    """Two sides of one thing; once where they are the same."""
    if before == after:
        return before or words.NOTHING
    return f"{before or words.NOTHING} {ARROW} {after or words.NOTHING}"


def places(pairs: Iterable[tuple[str, str]]) -> str:
    """The generations that a difference is at."""
    return abridged([both(*pair) for pair in pairs])


def abridged(names: Sequence[str]) -> str:
    """Names in a sentence; the first and last and how many, where they are many."""
    if len(names) <= MANY:
        return ", ".join(names)
    return f"{names[0]}, {names[1]} {ELLIPSIS} {names[-1]} ({len(names)})"


def cut(content: Value) -> str:
    """A params value, its end left out where it is long."""
    whole = words.value(content)
    return whole if len(whole) <= VALUE_CHARACTERS else whole[: VALUE_CHARACTERS - 1] + ELLIPSIS


def _then_now(change: Change) -> list[str]:
    return [change.before or words.NOTHING, change.after or words.NOTHING]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for place, head in enumerate(heads):
        column = [row[place].replace(",", "").lstrip("+-") for row in rows]
        is_number = bool(rows) and all(cell.isdigit() for cell in column)
        table.add_column(head, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table

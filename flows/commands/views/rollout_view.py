"""What `knowhow read` prints: rows as a table, one rollout in full, or JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import typer

from flows.commands.views.console import aligned, plainly, styled
from reading.database import Answer, Database
from reading.rollout import Rollout, read_rollout
from reading.sources import last
from reading.telling import TELLING
from reading.views import Plan, View

MAX_CELL, NUM_TELLING, NUM_ANSWERS = 60, 3, 3
NULL = "null"


def overview(database: Database) -> str:
    """The sources there are, and what tells most of each kind in the last of them."""
    if not database.sources:
        return "there are no rounds and no exams yet; `knowhow train` makes them"
    rows = [("SOURCE", "ROWS")]
    for name, source in database.sources.items():
        plan = Plan(View(name), source)
        rows.append((name, f"{database.ask(plan.count_sql()).rows[0][0]:,} {plan.unit}"))
    lines = aligned(rows)
    for kind, tellings in TELLING.items():
        for name, telling in product(last(database.sources, kind), tellings):
            view = telling.view(name, NUM_TELLING)
            lines += ["", f"{telling.title}: {name}", *_table(database, view)]
    option = "`knowhow read --round NAME` and `--exam NAME` show more, `--serve` shows pages"
    return "\n".join([*lines, "", option])


def listed(database: Database, view: View, as_json: bool) -> str:
    """The rows of a view, and the SQL that made it."""
    plan = Plan(view, database.source(view.source))
    answer = database.ask(plan.sql(), view.parameters, view.limit)
    count = database.ask(plan.count_sql(), view.parameters).rows[0][0]
    if as_json:
        return _json(
            {
                "sql": plan.sql(),
                "parameters": view.parameters,
                "num_found": count,
                "rows": answer.records,
            }
        )
    shown = f"{len(answer.rows):,} of {count:,} {plan.unit} shown."
    return "\n".join([*_cells(plan, answer), "", shown, "", plan.sql()])


def answer(found: Answer, as_json: bool) -> str:
    """The rows of a query."""
    if as_json:
        return _json(found.records)
    return "\n".join(
        aligned([found.columns, *([_cell(value) for value in row] for row in found.rows)])
    )


def rollout(database: Database, rollout_id: str, as_json: bool) -> str:
    """One rollout in full."""
    found = read_rollout(database, rollout_id)
    if as_json:
        segments = [
            {**each.row, "text": each.text, "tokens": each.tokens, "advantages": each.advantages}
            for each in found.segments
        ]
        boundaries = [each._asdict() for each in found.boundaries]
        return _json({**found.row, "segments": segments, "boundaries": boundaries})
    return "\n".join(_rollout_lines(found))


def _rollout_lines(found: Rollout) -> Iterable[str]:
    row = found.row
    yield f"{found.rollout_id}  by {row['policy_id']}"
    for name in (
        "prompt",
        "problems_answer",
        "answer",
        "verdict",
        "reward",
        "status",
        "mean_advantage",
    ):
        if row.get(name) is not None:
            yield f"  {name:16} {_cell(row[name])}"
    boundaries = {each.number: each for each in found.boundaries}
    for segment in found.segments:
        index = segment.row["segment_index"]
        if index in boundaries:
            yield from _boundary_lines(boundaries.pop(index))
        gain = segment.progress
        colour = typer.colors.GREEN if (gain or 0) > 0 else typer.colors.MAGENTA
        label = "      " if gain is None else styled(f"{gain:+.3f}", colour)
        advantages = [
            f"{each['advantage']:+.3f}"
            for each in segment.advantages
            if each["advantage"] is not None
        ]
        learnt = f"  advantage {', '.join(advantages)}" if advantages else ""
        fooled = "  fooled itself" if segment.is_fooled else ""
        yield f"{label}  {segment.row['kind']}{learnt}{fooled}"
        yield f"        {plainly(segment.text)}"
    for each in boundaries.values():
        yield from _boundary_lines(each)


def _boundary_lines(boundary: Any) -> Iterable[str]:
    success = NULL if boundary.success is None else f"{boundary.success:.3f}"
    tried = [
        f"{plainly(text)} ({value:.2f} nats)" for text, value in boundary.answers[:NUM_ANSWERS]
    ]
    yield f"J = {success}" + (f"  tried: {'; '.join(tried)}" if tried else "")


def _table(database: Database, view: View) -> list[str]:
    plan = Plan(view, database.source(view.source))
    found = database.ask(plan.sql(), view.parameters, view.limit)
    return _cells(plan, found) if found.rows else ["none"]


def _cells(plan: Plan, found: Answer) -> list[str]:
    names = plan.first
    rows = [[_cell(record[name]) for name in names] for record in found.records]
    return aligned([names, *rows])


def _cell(value: Any) -> str:
    """A value on one line, without control characters, cut where it is long."""
    if value is None:
        return NULL
    text = (
        f"{value:.4g}"
        if isinstance(value, float)
        else plainly(value).replace("\n", "\\n").replace("\t", "\\t")
    )
    return text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}…"


def _json(content: Mapping[str, Any] | Sequence[Any]) -> str:
    return json.dumps(content, indent=2, default=str)

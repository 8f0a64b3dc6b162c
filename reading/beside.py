"""The same problem under two policies: what each of two sources has of it."""

from typing import Any, NamedTuple

from reading.database import Database
from reading.exam import Row, read_problem
from reading.sources import quoted
from reading.views import UNITS, Plan, View

MAX_SAMPLES = 40


class Side(NamedTuple):
    """What a source has of a problem, the first rows of its view, and the policies that sampled."""

    source: str
    rows: list[dict[str, Any]]
    policies: list[str]


class Beside(NamedTuple):
    """A problem, the sources that have it, and two of them."""

    problem: Row
    sources: list[str]
    sides: list[Side]


def read_beside(database: Database, problem_id: str, left: str = "", right: str = "") -> Beside:
    """A problem in two sources, by default the first and the last that have it.

    Raises:
        NotThere: there is no such problem or source.
    """
    problem = read_problem(database, problem_id)
    having = [name for name in database.sources if _has(database, name, problem_id)]
    exams = [name for name in having if name.startswith("exams/")]
    first, last = (exams or having or [""])[0], (exams or having or [""])[-1]
    names = dict.fromkeys(filter(None, (left or first, right or last)))
    return Beside(problem, having, [_side(database, name, problem_id) for name in names])


def _side(database: Database, name: str, problem_id: str) -> Side:
    view = View(name, where="problem_id = $problem_id", limit=MAX_SAMPLES)
    sql = Plan(view, database.source(name)).sql()
    rows = database.ask(sql, {"problem_id": problem_id}, MAX_SAMPLES).records
    policies = dict.fromkeys(row["policy_id"] for row in rows if row["policy_id"])
    return Side(name, rows, [*policies])


def _has(database: Database, name: str, problem_id: str) -> bool:
    source = database.source(name)
    base = next(table for kind, table in UNITS.values() if kind == source.kind)
    if base not in source.tables:
        return False
    sql = f"SELECT 1 FROM {quoted(name)}.{base} WHERE problem_id = $id LIMIT 1"
    return bool(database.ask(sql, {"id": problem_id}).rows)

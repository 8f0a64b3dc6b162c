"""What each page shows, by the arguments of its address; the server makes HTML or JSON of it."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

from reading.beside import read_beside
from reading.database import Database
from reading.errors import NotThere
from reading.exam import read_sample
from reading.page import link
from reading.rollout import read_rollout
from reading.sources import last
from reading.telling import TELLING
from reading.views import UNITS, Plan, View

Arguments = Mapping[str, str]
Content = Callable[[Database, Arguments], tuple[str, dict[str, Any]]]
"""From the tables and an address's arguments to a template and what fills it."""
NUM_TELLING, MAX_SQL_ROWS = 5, 200


def index(database: Database, arguments: Arguments) -> tuple[str, dict[str, Any]]:
    """The most telling rows of the last round and of the last exam."""
    shown = []
    for kind, tellings in TELLING.items():
        for name, telling in product(last(database.sources, kind), tellings):
            view = telling.view(name, NUM_TELLING)
            plan = Plan(view, database.source(name))
            rows = database.ask(plan.sql(), view.parameters, NUM_TELLING).records
            address = address_of(telling.view(name, View.limit))
            each = {"telling": telling, "view": view, "rows": rows, "names": plan.first}
            shown.append({**each, "address": address, "sql": plan.sql()})
    return "index.html.j2", {"tellings": shown}


def view(database: Database, arguments: Arguments) -> tuple[str, dict[str, Any]]:
    """Rows of a source, searched, filtered and sorted."""
    page = max(1, int(arguments.get("page") or 1))
    unit, search, where, sort = (
        arguments.get(key, "") for key in ("unit", "search", "where", "sort")
    )
    wanted = View(arguments.get("source", ""), unit, search, where, sort, page)
    source = database.source(wanted.source)
    plan = Plan(wanted, source)
    rows = database.ask(plan.sql(), wanted.parameters).records
    count = database.ask(plan.count_sql(), wanted.parameters).rows[0][0]
    of_kind = [name for name, (kind, _) in UNITS.items() if kind == source.kind]
    return "view.html.j2", {
        "view": wanted,
        "unit": plan.unit,
        "units": [name for name in of_kind if UNITS[name][1] in source.tables],
        "columns": plan.shown,
        "names": plan.first,
        "rows": rows[: wanted.limit],
        "num_found": count,
        "sql": plan.sql(),
        "parameters": wanted.parameters,
        "before": address_of(wanted, page - 1) if page > 1 else None,
        "after": address_of(wanted, page + 1) if len(rows) > wanted.limit else None,
        "as_json": f"/api{address_of(wanted, page)}",
        "telling_links": [
            (telling.title, address_of(telling.view(source.name, wanted.limit)))
            for telling in TELLING[source.kind]
            if UNITS[telling.unit][1] in source.tables
        ],
    }


def rollout(database: Database, arguments: Arguments) -> tuple[str, dict[str, Any]]:
    """One rollout in full."""
    return "rollout.html.j2", {"rollout": read_rollout(database, arguments.get("id", ""))}


def sample(database: Database, arguments: Arguments) -> tuple[str, dict[str, Any]]:
    """One sample of an exam in full."""
    source, problem = (arguments.get(key, "") for key in ("source", "problem"))
    temperature, number = float(arguments.get("temperature", 1)), int(arguments.get("sample", 0))
    return "sample.html.j2", {"sample": read_sample(database, source, problem, temperature, number)}


def problem(database: Database, arguments: Arguments) -> tuple[str, dict[str, Any]]:
    """One problem in two sources."""
    sides = {side: arguments.get(side, "") for side in ("left", "right")}
    found = read_beside(database, arguments.get("id", ""), **sides)
    ends = {"left": found.sides[0].source, "right": found.sides[-1].source} if found.sides else {}
    return "problem.html.j2", {
        "problem": found.problem,
        "having": found.sources,
        "sides": found.sides,
        "chosen": {**sides, **ends},
    }


def sql(database: Database, arguments: Arguments) -> tuple[str, dict[str, Any]]:
    """A query of the reader's own; one that is refused is told on the same page."""
    query, answer, refused = arguments.get("query", ""), None, ""
    if query:
        try:
            answer = database.ask(query, limit=MAX_SQL_ROWS)
        except NotThere as error:
            refused = str(error)
    return "sql.html.j2", {
        "query": query,
        "answer": answer,
        "problem": refused,
        "max_rows": MAX_SQL_ROWS,
        "views": database.views,
    }


def address_of(view: View, page: int = 1) -> str:
    """The address of a page of a view."""
    given = {name: getattr(view, name) for name in ("source", "unit", "search", "where", "sort")}
    return link("/view", **given, page=page if page > 1 else "")


PAGES: Mapping[str, Content] = {
    "/": index,
    "/view": view,
    "/rollout": rollout,
    "/sample": sample,
    "/problem": problem,
    "/sql": sql,
}
"""What answers at each address."""

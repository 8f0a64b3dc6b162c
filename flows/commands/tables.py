"""`knowhow tables`: any table of the project, explained."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.views import console
from flows.project import names

EXAMPLES = """\b
Examples:
  knowhow tables                                            the tables there are
  knowhow tables data/rounds/i1/scores.parquet              columns, what they mean, first rows
  knowhow tables data/rounds/i1/gains.parquet --columns rollout_id,progress --limit 20
  knowhow tables data/rounds/i1/scores.parquet --where verdict=correct --where reward=1 --json"""


def _column_names(context: typer.Context, incomplete: str) -> list[str]:
    """Columns of the table named before, for the tab key; behind the last comma."""
    from flows.commands.views import table_view

    before, comma, begun = incomplete.rpartition(",")
    try:
        known = table_view.column_names(Path(context.params.get("table") or ""))
    except table_view.NotThere:
        return []
    return [f"{before}{comma}{name}" for name in known if name.startswith(begun)]


def tables(
    table: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A Parquet file; else the list of all.",
            autocompletion=names.tables,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN,COLUMN",
            help="Columns shown, by comma; else all.",
            autocompletion=_column_names,
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE", help="Rows shown; all of several must hold; null too."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Rows shown.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, lists whole.")] = False,
) -> None:
    """Look at a table: its columns and what they mean, its first rows, or those with a value."""
    from flows.commands.views import table_view

    try:
        if table is None:
            _print_list(as_json)
            return
        wanted = ",".join(columns).split(",") if columns else []
        view = table_view.View(table, wanted, where or [], limit)
    except table_view.NotThere as error:
        console.stop(error)
    console.say(view.as_json() if as_json else view.as_text())


def _print_list(as_json: bool) -> None:
    from flows.commands.views import table_view

    listed = table_view.listed()
    if as_json:
        print(json.dumps([path for path, _, _ in listed], indent=2))
    else:
        console.say("\n".join(console.aligned([("TABLE", "ROWS", "COLUMNS"), *listed])))

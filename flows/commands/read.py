"""`knowhow read`: rollouts and exams to read, at the terminal, served as pages, or as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.views import console
from flows.project.paths import DATA

if TYPE_CHECKING:
    from reading.database import Database

EXAMPLES = """\b
Examples:
  knowhow read                                      the rounds and exams, and what tells most
  knowhow read --round i3                           its rollouts
  knowhow read --round i3 --sort=-progress          its segments, largest gain first
  knowhow read --round i3 --where "reward = 0 AND progress > 0.2" --search "7 + 5"
  knowhow read --exam i3 --where "verdict <> 'correct'" --sort=-used_tokens
  knowhow read 'i3/countdown:3-5-7>36/0'            one rollout in full
  knowhow read --sql 'SELECT verdict, count(*) FROM "rounds/i3".scores GROUP BY 1'
  knowhow read --serve                              all of it as pages, on this machine alone
  knowhow read --file rollouts.html                 a sample as a page that opens offline"""


Search = Annotated[str, typer.Option(metavar="TEXT", help="Whose text has this, in any case.")]
Where = Annotated[
    str, typer.Option(metavar="SQL", help="A condition over any columns, as DuckDB takes it.")
]
Sort = Annotated[
    str, typer.Option(metavar="COLUMN", help="By this column; largest first after a minus.")
]
Serve = Annotated[bool, typer.Option("--serve", help="Serve pages on loopback, until ctrl-C.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of --serve; 0 is any free one.")]
NumRollouts = Annotated[int, typer.Option(min=2, max=2000, help="How many --file has at most.")]
RolloutId = Annotated[
    str | None, typer.Argument(metavar="ROLLOUT", help="A rollout to show in full.")
]
RoundId = Annotated[str | None, typer.Option("--round", metavar="ROUND", help="Show this round.")]
Exam = Annotated[str | None, typer.Option(metavar="POLICY", help="Show this policy's exam.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="Rows shown.")]
Sql = Annotated[str, typer.Option("--sql", metavar="SELECT", help="Any query over the tables.")]
File = Annotated[Path | None, typer.Option(help="Write a sample of rollouts as one page.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, all columns.")]


def read(
    rollout_id: RolloutId = None,
    round_id: RoundId = None,
    exam: Exam = None,
    search: Search = "",
    where: Where = "",
    sort: Sort = "",
    limit: Limit = 20,
    sql: Sql = "",
    as_json: Json = False,
    is_served: Serve = False,
    port: Port = 0,
    file: File = None,
    num_rollouts: NumRollouts = 300,
) -> None:
    """Read what policies wrote: every rollout of every round and exam, and what segments gained.

    Columns of `--where` and `--sort` are those of docs/tables.md. Where one is a segment's, such as
    `progress`, a row is a segment.
    """
    from flows.commands.views import rollout_view
    from reading.errors import NotThere
    from reading.views import View

    if round_id is not None and exam is not None:
        console.stop("--round and --exam are two sources; choose one")
    try:
        database = _opened()
        if is_served:
            _serve(database, port)
        elif file is not None:
            _write_file(database, file, num_rollouts)
        elif sql:
            console.say(rollout_view.answer(database.ask(sql, limit=limit), as_json))
        elif rollout_id is not None:
            console.say(rollout_view.rollout(database, rollout_id, as_json))
        elif round_id is None and exam is None:
            console.say(rollout_view.overview(database))
        else:
            name = f"rounds/{round_id}" if round_id is not None else f"exams/{exam}"
            view = View(name, search=search, where=where, sort=sort, limit=limit)
            console.say(rollout_view.listed(database, view, as_json))
    except NotThere as error:
        console.stop(error)


def _opened() -> "Database":
    from reading.database import Database

    return Database(DATA)


def _serve(database: "Database", port: int) -> None:
    from reading import server

    with console.ending_in_order():
        server.serve(
            database, port, lambda url: print(f"rollouts are at {url} until ctrl-C", flush=True)
        )


def _write_file(database: "Database", file: Path, num_rollouts: int) -> None:
    from reading import offline

    console.say(f"{file}: {offline.write(database, file, num_rollouts)}")

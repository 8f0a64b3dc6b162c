"""The `knowhow` command: plan, train, rounds, nights, audit, report, tables.

What a command needs is imported when it runs, so that `--help` and `plan` never wait for Prefect, and `audit` for
neither Prefect nor DVC.
"""

import json
import os
import time
import webbrowser
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import console, rounds
from flows.deferred import Deferred

if TYPE_CHECKING:
    from flows.graph import Node

NUM_REASONS_SHOWN = 3


def _serving() -> typer.Typer:
    from flows import serve

    return serve.app


def _alerting() -> typer.Typer:
    from flows import alert

    return alert.app


def _nights() -> typer.Typer:
    from flows import night_commands

    return night_commands.app


def _lineage() -> typer.Typer:
    from lineage import cli

    return cli.app


class _Nightly(Deferred):
    apps = (_nights, _serving, _alerting)


class _Audit(Deferred):
    apps = (_lineage,)


APP_EXAMPLES = """\b
Examples:
  knowhow plan                         what will run, and why
  knowhow train                        run it, with a page to watch
  knowhow nightly serve                train every night, and keep what got better
  knowhow audit leaks i3               prove that no exam problem was trained on
  knowhow tables                       the tables there are
  knowhow --install-completion         completion by the tab key

Run from the repository's root. `dvc repro` runs the same stages without this command."""
NIGHTLY_EXAMPLES = """\b
Examples:
  knowhow nightly preflight            what stands in the way of a night
  knowhow nightly run                  tonight's night, now
  knowhow nightly serve                every night, by the schedule of nightly.yaml
  knowhow nightly alert https://hooks.example.org/knowhow"""
AUDIT_EXAMPLES = """\b
Examples:
  knowhow audit show i3                where a policy came from
  knowhow audit rows i3 --json         what trained it, row by row
  knowhow audit leaks i3               proof that no exam problem did
  knowhow audit verify i3              every byte hashed anew"""
PLAN_EXAMPLES = """\b
Examples:
  knowhow plan                all stages
  knowhow plan update@i1      one stage and its ancestors
  knowhow plan --json | jq -r '.[] | select(.reasons != []) | .name'"""
TRAIN_EXAMPLES = """\b
Examples:
  knowhow train                      bring all stages up to date
  knowhow train evaluate@i1          what this one stage needs, and no more
  knowhow train --keep-server        look at the page afterwards, too
  knowhow train --server-url http://127.0.0.1:4200"""
REPORT_EXAMPLES = """\b
Examples:
  knowhow report              where the page is
  knowhow report --open       in the browser
  knowhow report --serve      report and Data Docs over http on this machine, until ctrl-C"""
TABLES_EXAMPLES = """\b
Examples:
  knowhow tables                                            the tables there are
  knowhow tables data/rounds/i1/scores.parquet              columns, what they mean, first rows
  knowhow tables data/rounds/i1/gains.parquet --columns rollout_id,progress --limit 20
  knowhow tables data/rounds/i1/scores.parquet --where verdict=correct --where reward=1 --json"""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Train policies that learn how to answer: the stages of dvc.yaml planned, run, repeated nightly and audited.",
    epilog=APP_EXAMPLES,
)
app.add_typer(rounds.app, name="round", epilog=rounds.ADD_EXAMPLES)
app.add_typer(
    typer.Typer(cls=_Nightly, no_args_is_help=True, rich_markup_mode=None),
    name="nightly",
    help="A round every night: trained, examined, and promoted where it is better.",
    epilog=NIGHTLY_EXAMPLES,
)
app.add_typer(
    typer.Typer(cls=_Audit, no_args_is_help=True, rich_markup_mode=None),
    name="audit",
    help="Where a policy came from, row by row and byte by byte; needs neither DVC nor Prefect.",
    epilog=AUDIT_EXAMPLES,
)
Stages = Annotated[
    list[str] | None,
    typer.Argument(metavar="STAGE", help="Stages (update@i1) or groups (update), with their ancestors; else all."),
]


def main() -> None:
    """Entry point of the `knowhow` command and of `python -m flows.cli`."""
    os.environ["DVC_NO_ANALYTICS"] = "1"
    os.environ.setdefault("DVC_SITE_CACHE_DIR", str(Path(".venv/var/dvc").absolute()))
    app(prog_name="knowhow")


@app.command(epilog=PLAN_EXAMPLES)
def plan(
    stages: Stages = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: name, parents, reasons.")] = False,
) -> None:
    """Show which stages will run, and why. Nothing is run."""
    nodes = _plan(stages)
    print(json.dumps([asdict(node) for node in nodes], indent=2) if as_json else _table(nodes))


@app.command(epilog=TRAIN_EXAMPLES)
def train(
    stages: Stages = None,
    server_url: Annotated[str | None, typer.Option(help="Use this Prefect server; else start one for the run.")] = None,
    keep_server: Annotated[
        bool, typer.Option("--keep-server", help="Leave the server up after the run, until ctrl-C, to look at it.")
    ] = False,
    retries: Annotated[int, typer.Option(min=0, help="Further tries of a stage when the machine failed.")] = 2,
    retry_delay_seconds: Annotated[float, typer.Option(min=0, help="Pause before a further try.")] = 30.0,
    deadline_seconds: Annotated[
        float | None, typer.Option(min=1, help="Longest time for one stage; else none.")
    ] = None,
) -> None:
    """Run the stages that are not up to date, as a Prefect flow.

    A page shows progress, logs and results. On ctrl-C nothing is left running; finished stages are kept, and the same
    command goes on from there. Ends with 0 when all is up to date, 1 when a stage failed, 2 when the project or the
    command is wrong, and 75 when no server could be started.
    """
    from flows import pages, run, server

    if keep_server and server_url:
        raise typer.BadParameter("a server given by --server-url stays up anyway", param_hint="--keep-server")
    nodes = _plan(stages)
    num_stale = sum(node.is_stale for node in nodes)
    if not num_stale and not keep_server:
        print(f"all {len(nodes)} stages are up to date")
        return
    with (
        console.ending_in_order(),
        run.exclusive(),
        run.Children() as children,
        server.running(children, server_url) as page,
        nullcontext() if server_url else pages.serving(),  # with a server that outlives the run, links would go dead
    ):
        print(f"{num_stale} of {len(nodes)} stages to run; watch them on {page}", flush=True)
        is_done = _run_flow(stages, retries, retry_delay_seconds, deadline_seconds)
        if keep_server:
            _wait_for_interrupt(f"the server stays up at {page}")
    raise SystemExit(0 if is_done else console.EXIT_STAGE_FAILED)


@app.command(epilog=REPORT_EXAMPLES)
def report(
    is_opened: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    is_served: Annotated[bool, typer.Option("--serve", help="Serve it and the Data Docs, until ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of --serve.")] = 4280,
) -> None:
    """Print where the report is, open it, or serve it on this machine's loopback address."""
    from flows import pages

    if not pages.REPORT.is_file():
        console.stop(f"{pages.REPORT} is missing; `knowhow train` makes it")
    if not is_served:
        print(pages.REPORT)
    if is_opened and not webbrowser.open(pages.REPORT.absolute().as_uri()):
        console.stop(f"no browser is found to open {pages.REPORT} in; set BROWSER, or open it yourself")
    if is_served:
        with console.ending_in_order(), pages.serving(port) as url:
            _wait_for_interrupt(f"report and Data Docs are at {url}")


@app.command(epilog=TABLES_EXAMPLES)
def tables(
    table: Annotated[Path | None, typer.Argument(metavar="FILE", help="A Parquet file; else the list of all.")] = None,
    columns: Annotated[list[str] | None, typer.Option(help="Columns shown, by comma; else all.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="Rows shown; all of several must hold; null too.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Rows shown.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, lists whole.")] = False,
) -> None:
    """Look at a table: its columns and what they mean, its first rows, or those with a value."""
    from flows import tables as look

    try:
        if table is None:
            found = look.listed()
            rows = [("TABLE", "ROWS", "COLUMNS"), *found]
            print(json.dumps([row[0] for row in found], indent=2) if as_json else "\n".join(look.aligned(rows)))
            return
        wanted = [name for names in columns or [] for name in names.split(",")]
        view = look.View(table, wanted, where or [], limit)
    except look.Refused as error:
        console.stop(error)
    print(view.as_json() if as_json else view.as_text())


def _plan(stages: Sequence[str] | None) -> "list[Node]":
    from flows import graph

    try:
        return graph.plan(stages or ())
    except graph.GraphError as error:
        console.stop(error)


def _table(nodes: "Sequence[Node]") -> str:
    width = max(len(name) for name in ["STAGE", *(node.name for node in nodes)])
    rows = [("STAGE", "STATE", "WHY"), *((node.name, _state(node), _why(node)) for node in nodes)]
    lines = [f"{name:{width}}  {_coloured(f'{state:10}')}  {why}".rstrip() for name, state, why in rows]
    num_stale = sum(node.is_stale for node in nodes)
    return "\n".join([*lines, "", f"{num_stale} of {len(nodes)} stages will run."])


def _state(node: "Node") -> str:
    return "will run" if node.is_stale else "up to date"


def _coloured(state: str) -> str:
    colours = {"will run": typer.colors.YELLOW, "up to date": typer.colors.GREEN}
    colour = colours.get(state.rstrip())
    return console.styled(state, colour) if colour else state


def _why(node: "Node") -> str:
    shown, left = node.reasons[:NUM_REASONS_SHOWN], len(node.reasons) - NUM_REASONS_SHOWN
    return "; ".join([*shown, *([f"and {left} more"] if left > 0 else [])])


def _run_flow(
    stages: list[str] | None, retries: int, retry_delay_seconds: float, deadline_seconds: float | None
) -> bool:
    """Run the flow and say how it went. Returns whether all is up to date now."""
    from flows import train as flow  # not before the environment names the server

    try:
        state = flow.train(stages, retries, retry_delay_seconds, deadline_seconds, return_state=True)
    finally:
        flow.deliver()
    if not state.is_completed():
        console.tell_error(state.message)
        return False
    print(state.message, flush=True)
    return True


def _wait_for_interrupt(what: str) -> None:
    print(f"{what} until ctrl-C", flush=True)
    try:
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        print("stopping the server", flush=True)


if __name__ == "__main__":
    main()

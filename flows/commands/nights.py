"""`knowhow nightly run`, `preflight` and `show`.

Prefect is imported by what runs a night, and by nothing else.
"""

import json
from typing import Annotated, Any

import typer

from flows.commands.views import console
from flows.project import exit_codes

RUN_EXAMPLES = """\b
Examples:
  knowhow nightly run                       the night that was stopped half-way, else today's
  knowhow nightly run --date 2026-11-25     that night, or go on with it
  knowhow nightly run --server-url http://127.0.0.1:4200"""
PREFLIGHT_EXAMPLES = """\b
Examples:
  knowhow nightly preflight && echo ready for tonight"""
SHOW_EXAMPLES = """\b
Examples:
  knowhow nightly show
  knowhow nightly show --json | jq -r '.[] | select(.verdict == "kept") | .why[]'"""

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="A round every night.")
Date = Annotated[
    str | None,
    typer.Option(metavar="YYYY-MM-DD", help="Which night; else one stopped half-way, or today."),
]


@app.command(epilog=RUN_EXAMPLES)
def run(
    date: Date = None,
    server_url: Annotated[
        str | None, typer.Option(help="Use this Prefect server; else start one for the run.")
    ] = None,
) -> None:
    """Train a round on from the champion, examine it, and promote it where every gate passes.

    All is committed on branch nightly/DATE, in a worktree of its own, and pushed to the DVC remote;
    this checkout stays as it is. Without a date it is the night that was stopped half-way, else
    today's; a night that is over is left alone. Ends with 0 when the policy was promoted or the
    night is over, 1 when a stage failed, 2 when something prevents a start, 3 when a gate kept the
    champion, and 75 when the machine failed.
    """
    from flows.nights import worktree
    from flows.running import pages, server
    from flows.running.children import Children

    with (
        console.ending_in_order(),
        Children() as children,
        server.running(children, server_url) as page,
        pages.serving(folders=worktree.PAGES),
    ):
        from flows.nights import flow  # not before the environment names the server

        print(f"watch the night on {page}", flush=True)
        code, message = flow.run_night(date)
    if code:
        console.stop(message, code)
    console.say(message)


@app.command(epilog=PREFLIGHT_EXAMPLES)
def preflight(date: Date = None) -> None:
    """Say what prevents the night, all of it. Nothing is changed.

    Ends with 0 when nothing does, or when the night is over, and with 2 otherwise.
    """
    from flows.nights import night, settings
    from flows.nights import preflight as checks
    from flows.project import git

    try:
        wanted = settings.load()
        tonight = night.wanted(date, wanted.schedule.timezone)
        record = night.record(tonight)
        if record:
            print(f"night {tonight} is over: {record['verdict']}")
            return
        obstacles = checks.obstacles(night.planned(wanted, tonight))
    except (settings.SettingsError, night.NoDate, git.GitError) as error:
        console.stop(error)
    for each in obstacles:
        console.print_error(each)
    if obstacles:
        raise SystemExit(exit_codes.BAD_INPUT)
    print(f"night {tonight} can begin: {len(checks.CHECKS)} checks passed")


@app.command(epilog=SHOW_EXAMPLES)
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the records.")] = False,
) -> None:
    """List the nights so far, from the records on their branches."""
    from flows.nights import night
    from flows.project import git

    try:
        records = {str(each): night.record(each) for each in night.begun()}
    except git.GitError as error:
        console.stop(error)
    if as_json:
        print(json.dumps([record for record in records.values() if record], indent=2))
        return
    rows = [("NIGHT", "VERDICT", "CHAMPION", "WHY")]
    rows += [_row(name, record) for name, record in records.items()]
    print("\n".join(console.aligned(rows)))


def _row(night: str, record: dict[str, Any] | None) -> tuple[str, str, str, str]:
    if record is None:
        return night, "unfinished", "", f"`knowhow nightly run --date {night}` goes on"
    before, after = record["champion_before"], record["champion_after"]
    champion = f"{before} -> {after}" if before != after else before
    return night, record["verdict"], champion, console.plainly("; ".join(record["why"]))

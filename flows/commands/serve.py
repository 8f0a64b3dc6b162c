"""`knowhow nightly serve`: nights by the schedule of nightly.yaml, on one machine.

Prefect keeps time, shows and cancels runs; it remembers nothing that the next night needs.
"""

import os
import sys
import time
from typing import Annotated

import typer

from flows.commands.views import console
from flows.nights import settings, worktree
from flows.project import exit_codes
from flows.running import pages, server
from flows.running.children import Children

RUNNER = "flows.nights.runner"
PORT, PAGES_PORT = 4200, 4280
POLL_SECONDS = 0.5

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = """\b
Examples:
  knowhow nightly serve                                       with a Prefect server of its own
  knowhow nightly serve --server-url http://127.0.0.1:4200    with one that is up anyway
  prefect deployment run nightly/nightly                      a night now; cancel it on the page"""


@app.command(epilog=EXAMPLES)
def serve(
    server_url: Annotated[
        str | None, typer.Option(help="Use this Prefect server; else start one.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the server that is started.")
    ] = PORT,
    pages_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port that report and Data Docs are served at.")
    ] = PAGES_PORT,
) -> None:
    """Run a night whenever nightly.yaml's schedule says so, until ctrl-C.

    One night at a time: another that comes meanwhile is cancelled. A night missed while nothing was
    served is not caught up. Everything listens on this machine's loopback address only.
    """
    try:
        schedule = settings.load().schedule
    except settings.SettingsError as error:
        console.stop(error)
    command = [sys.executable, "-m", RUNNER]
    with (
        console.ending_in_order(),
        Children() as children,
        server.running(children, server_url, port) as page,
        pages.serving(pages_port, worktree.PAGES) as url,
        children.running(command, os.environ, sys.stdout.buffer) as runner,
    ):
        when = f"`{schedule.cron}` {schedule.timezone}"
        print(f"nights at {when}: {page}; report and Data Docs: {url}", flush=True)
        try:
            while runner.poll() is None:
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            print("stopping", flush=True)
            return
    console.stop(
        "the process that starts nights ended; see above, then serve again", exit_codes.MACHINE
    )

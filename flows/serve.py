"""`knowhow nightly serve`: nights by the schedule of nightly.yaml, on one machine.

Prefect keeps time, shows and cancels runs; nothing is remembered there that the next night needs.
"""

import os
import sys
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from flows import console, pages, run, server, settings

NAME = "nightly"
MISSED = "missed: nothing served it at its time; nights are not caught up"
GONE = "its process is gone; the next run goes on where it stopped"
PORT, PAGES_PORT = 4200, 4280
POLL_SECONDS = 0.5

app = typer.Typer(rich_markup_mode=None)
SERVE_EXAMPLES = """\b
Examples:
  knowhow nightly serve                                       with a Prefect server of its own
  knowhow nightly serve --server-url http://127.0.0.1:4200    with one that is up anyway
  prefect deployment run nightly/nightly                      a night now; cancel it on the page"""


@app.command(epilog=SERVE_EXAMPLES)
def serve(
    server_url: Annotated[str | None, typer.Option(help="Use this Prefect server; else start one.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the server that is started.")] = PORT,
    pages_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port that report and Data Docs are served at.")
    ] = PAGES_PORT,
) -> None:
    """Run a night whenever nightly.yaml's schedule says so, until ctrl-C.

    One night at a time: another that comes meanwhile is cancelled. A night missed while nothing was served is not
    caught up. Everything listens on this machine's loopback address only.
    """
    try:
        schedule = settings.load().schedule
    except settings.SettingsError as error:
        console.stop(error)
    with (
        console.ending_in_order(),
        run.Children() as children,
        server.running(children, server_url, port) as page,
        pages.serving(pages_port) as url,
        children.running([sys.executable, "-m", "flows.serve"], os.environ, sys.stdout.buffer) as runner,
    ):
        print(f"nights at `{schedule.cron}` {schedule.timezone}: {page}; report and Data Docs: {url}", flush=True)
        try:
            while runner.poll() is None:
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            print("stopping", flush=True)
            return
    console.stop("the process that starts nights ended; see above, then serve again", console.EXIT_MACHINE)


def main() -> None:
    """Start nights, in a process of its own: ended with all below it, whatever Prefect's runner holds on to."""
    _settle()
    _serve(settings.load().schedule)


def _serve(schedule: settings.Schedule) -> None:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    from flows.nightly import nightly

    nightly.serve(
        name=NAME,
        schedule=Cron(schedule.cron, timezone=schedule.timezone),
        paused=False,
        global_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        entrypoint_type=EntrypointType.MODULE_PATH,
        print_starting_message=False,
        pause_on_shutdown=False,  # what comes due meanwhile is then missed, and shown as such
    )


def _settle() -> None:
    """Give an end to runs that an earlier server or runner left without one."""
    from prefect import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter
    from prefect.states import Cancelled, Crashed

    filters = {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]}}}
    with get_client(sync_client=True) as client:
        unfinished = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[NAME])),
            flow_run_filter=FlowRunFilter.model_validate(filters),
        )
        for flow_run in unfinished:
            assert flow_run.state is not None
            if flow_run.state.is_scheduled():
                if flow_run.expected_start_time and flow_run.expected_start_time < datetime.now(UTC):
                    client.set_flow_run_state(flow_run.id, Cancelled(message=MISSED), force=True)
            elif not _is_at_work():
                client.set_flow_run_state(flow_run.id, Crashed(message=GONE), force=True)


def _is_at_work() -> bool:
    """Whether a run holds this checkout; one that outlived its runner does."""
    try:
        with run.exclusive():
            return False
    except run.Busy:
        return True


if __name__ == "__main__":
    main()

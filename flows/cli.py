"""The `knowhow` command: look at the plan, run it.

What a command needs is imported when it runs, so that `--help` and `plan` never wait for Prefect.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from flows import rounds

if TYPE_CHECKING:
    from flows.graph import Node
    from flows.run import Children

EXIT_STAGE_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_MACHINE = 75
SERVER_START_SECONDS = 180.0
POLL_SECONDS = 0.2
NUM_REASONS_SHOWN = 3
STOPPED = "stopped before the end; finished stages are kept: run the same command to go on"


class Terminated(KeyboardInterrupt):
    """Signal TERM, which ends a run as ctrl-C does."""


app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Train policies that learn how to answer: the stages of dvc.yaml, planned and run.",
    epilog="Run from the repository's root. `dvc repro` runs the same stages without this command.",
)
app.add_typer(rounds.app, name="round")
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
    from flows import run

    if keep_server and server_url:
        raise typer.BadParameter("a server given by --server-url stays up anyway", param_hint="--keep-server")
    nodes = _plan(stages)
    num_stale = sum(node.is_stale for node in nodes)
    if not num_stale and not keep_server:
        print(f"all {len(nodes)} stages are up to date")
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with run.exclusive(), run.Children() as children, _server(children, server_url) as page:
            print(f"{num_stale} of {len(nodes)} stages to run; watch them on {page}", flush=True)
            is_done = _run_flow(stages, retries, retry_delay_seconds, deadline_seconds)
            if keep_server:
                _wait_for_interrupt(page)
    except run.Busy as error:
        _stop(str(error), EXIT_BAD_INPUT)
    except KeyboardInterrupt as stopped:
        _stop(STOPPED, 128 + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT))
    raise SystemExit(0 if is_done else EXIT_STAGE_FAILED)


def _plan(stages: Sequence[str] | None) -> "list[Node]":
    from flows import graph

    try:
        return graph.plan(stages or ())
    except graph.GraphError as error:
        _stop(str(error), EXIT_BAD_INPUT)


def _table(nodes: "Sequence[Node]") -> str:
    width = max(len(name) for name in ["STAGE", *(node.name for node in nodes)])
    rows = [("STAGE", "STATE", "WHY"), *((node.name, _state(node), _why(node)) for node in nodes)]
    lines = [f"{name:{width}}  {state:10}  {why}".rstrip() for name, state, why in rows]
    num_stale = sum(node.is_stale for node in nodes)
    return "\n".join([*lines, "", f"{num_stale} of {len(nodes)} stages will run."])


def _state(node: "Node") -> str:
    return "will run" if node.is_stale else "up to date"


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
        print(f"error: {state.message}", file=sys.stderr, flush=True)
        return False
    print(state.message, flush=True)
    return True


@contextmanager
def _server(children: "Children", server_url: str | None) -> Iterator[str]:
    """Point Prefect to a server while the block runs: the one given, or one of our own on this machine only."""
    from flows.run import SCRATCH

    home = (SCRATCH / "prefect").absolute()
    home.mkdir(parents=True, exist_ok=True)
    if server_url:
        page = server_url.rstrip("/").removesuffix("/api")
        os.environ.update(_prefect_settings(home, page))
        if not _answers(page):
            _stop(f"no Prefect server answers at {page}; check --server-url, or leave it out", EXIT_BAD_INPUT)
        yield page
        return

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    page = f"http://127.0.0.1:{port}"
    os.environ.update(_prefect_settings(home, page))
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = home / "server.log"
    print("starting the Prefect server", flush=True)
    with log.open("wb") as output, children.running(command, os.environ, output) as server:
        end = time.monotonic() + SERVER_START_SECONDS
        while not _answers(page):
            if server.poll() is not None:
                _stop(f"the Prefect server ended while it started; see {log}, then run again", EXIT_MACHINE)
            if time.monotonic() > end:
                _stop(f"no Prefect server after {SERVER_START_SECONDS:g} s; see {log}, then run again", EXIT_MACHINE)
            time.sleep(POLL_SECONDS)
        yield page


def _prefect_settings(home: Path, page: str) -> dict[str, str]:
    """Environment in which Prefect stays inside `home` and calls nobody but the server behind `page`."""
    past_proxies = ",".join(filter(None, [os.environ.get("no_proxy"), "127.0.0.1,localhost"]))
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(home / "storage"),
        "PREFECT_SERVER_MEMO_STORE_PATH": str(home / "memo_store.toml"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home}/prefect.db",
        "PREFECT_API_URL": f"{page}/api",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
        "no_proxy": past_proxies,
        "NO_PROXY": past_proxies,
    }


def _answers(page: str) -> bool:
    import httpx

    try:
        httpx.get(f"{page}/api/health", timeout=5)
    except (httpx.TransportError, httpx.InvalidURL):
        return False
    return True


def _wait_for_interrupt(page: str) -> None:
    print(f"the server stays up at {page} until ctrl-C", flush=True)
    try:
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        print("stopping the server", flush=True)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _stop(message: str, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()

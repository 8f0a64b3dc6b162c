"""`knowhow train`: run what is not up to date, with a page to watch it on."""

from contextlib import ExitStack, nullcontext
from typing import Annotated

import typer

from flows.commands.look import tell_end
from flows.commands.plan import Stages, planned_stages
from flows.commands.views import console
from flows.project import exit_codes

EXAMPLES = """\b
Examples:
  knowhow train                      bring all stages up to date
  knowhow train evaluate@i3          what this one stage needs, and no more
  knowhow train --keep-server        look at the page afterwards, too
  knowhow train --server-url http://127.0.0.1:4200"""


KeepServer = Annotated[
    bool,
    typer.Option(
        "--keep-server", help="Leave the server up after the run, until ctrl-C, to look at it."
    ),
]


def train(
    stages: Stages = None,
    server_url: Annotated[
        str | None, typer.Option(help="Use this Prefect server; else start one for the run.")
    ] = None,
    keep_server: KeepServer = False,
    retries: Annotated[
        int, typer.Option(min=0, help="Further tries of a stage when the machine failed.")
    ] = 2,
    retry_delay_seconds: Annotated[
        float, typer.Option(min=0, help="Pause before a further try.")
    ] = 30.0,
    deadline_seconds: Annotated[
        float | None, typer.Option(min=1, help="Longest time for one stage; else none.")
    ] = None,
) -> None:
    """Run the stages that are not up to date, as a Prefect flow.

    A page shows progress, logs and results. On ctrl-C nothing is left running; finished stages are
    kept, and the same command goes on from there. Ends with 0 when all is up to date, 1 when a
    stage failed, 2 when the project or the command is wrong, and 75 when no server could be
    started.
    """
    from flows.running import pages, server
    from flows.running.children import Children
    from flows.running.stage import exclusive

    if keep_server and server_url:
        why = "a server given by --server-url stays up anyway"
        raise typer.BadParameter(why, param_hint="--keep-server")
    planned = planned_stages(stages)
    num_stale = sum(stage.is_stale for stage in planned)
    if not num_stale and not keep_server:
        print(f"all {len(planned)} stages are up to date")
        return
    with console.ending_in_order(), ExitStack() as run:
        run.enter_context(exclusive())
        with (
            Children() as children,
            server.running(children, server_url) as page,
            # With a server that outlives the run, links would go dead.
            nullcontext() if server_url else pages.serving(),
        ):
            print(f"{num_stale} of {len(planned)} stages to run; watch them on {page}", flush=True)
            is_done = _run_flow(stages, retries, retry_delay_seconds, deadline_seconds)
            run.close()  # a server that stays up keeps no other run out
            if keep_server:
                console.wait_for_interrupt(f"the server stays up at {page}")
    raise SystemExit(0 if is_done else exit_codes.STAGE_FAILED)


def _run_flow(
    stages: list[str] | None,
    retries: int,
    retry_delay_seconds: float,
    deadline_seconds: float | None,
) -> bool:
    """Run the flow and say how it went. Returns whether all is up to date now."""
    from flows.running import train as flow  # not before the environment names the server

    try:
        state = flow.train(
            stages, retries, retry_delay_seconds, deadline_seconds, return_state=True
        )
    finally:
        flow.deliver()
    if not state.is_completed():
        console.print_error(state.message)
        return False
    console.say(state.message)
    tell_end()
    return True

"""Starts nights by the schedule of nightly.yaml: `python -m flows.nights.runner`.

`knowhow nightly serve` starts it in a process of its own, which is ended with all below it,
whatever Prefect's runner holds on to. PREFECT_API_URL names the server.
"""

from datetime import UTC, datetime

from prefect import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.schedules import Cron
from prefect.states import Cancelled, Crashed
from prefect.types.entrypoint import EntrypointType

from flows.nights import settings
from flows.nights.flow import nightly
from flows.nights.night import FLOW, WORK
from flows.running import stage

MISSED = "missed: nothing served it at its time; nights are not caught up"
GONE = "its process is gone; the next run goes on where it stopped"
UNFINISHED = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]


def main() -> None:
    """End what an earlier runner left, then start nights until this process is ended."""
    schedule = settings.load().schedule
    settle()
    nightly.serve(
        name=FLOW,
        schedule=Cron(schedule.cron, timezone=schedule.timezone),
        paused=False,
        global_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
        ),
        entrypoint_type=EntrypointType.MODULE_PATH,
        print_starting_message=False,
        pause_on_shutdown=False,  # what comes due meanwhile is then missed, and shown as such
    )


def settle() -> None:
    """Give an end to runs that an earlier server or runner left without one."""
    filters = {"state": {"type": {"any_": UNFINISHED}}}
    with get_client(sync_client=True) as client:
        unfinished = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW, WORK])),
            flow_run_filter=FlowRunFilter.model_validate(filters),
        )
        for flow_run in unfinished:
            assert flow_run.state is not None
            due = flow_run.expected_start_time
            if flow_run.state.is_scheduled():
                if due and due < datetime.now(UTC):
                    client.set_flow_run_state(flow_run.id, Cancelled(message=MISSED), force=True)
            elif not _is_at_work():
                client.set_flow_run_state(flow_run.id, Crashed(message=GONE), force=True)


def _is_at_work() -> bool:
    """Whether a run holds this checkout; one that outlived its runner does."""
    try:
        with stage.exclusive():
            return False
    except stage.Busy:
        return True


if __name__ == "__main__":
    main()

"""A night as a Prefect flow: a round trained on from the champion, examined, and perhaps promoted.

Git is its memory. On the branch of its date a night makes three commits: it begins (a round more in
params.yaml), it has run (dvc.lock and metrics, whatever came of it), it is over (the record, and
the champion where it is a new one). Killed at any moment, it goes on from the last of them; once it
is over, to start it again does nothing.
"""

import time
from functools import partial

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.nights import branch, champion, ending, night, preflight, programs, settings
from flows.nights.ending import COMMITTED, FAILED, KEPT, PROMOTED, Record
from flows.nights.night import NightPlan
from flows.nights.programs import Unfinished
from flows.nights.report import markdown
from flows.nights.settings import Settings
from flows.project import exit_codes, git, params_file
from flows.project.paths import GRAPH, PARAMS
from flows.running import graph, pages, stage, train

AUTOMATIC = "auto-scheduled"  # the tag that Prefect gives what its schedules start
OVER, REFUSED, UNFINISHED = "over", "refused", "unfinished"  # what a start can end with, besides
EXIT_CODES = {
    PROMOTED: 0,
    OVER: 0,
    FAILED: exit_codes.STAGE_FAILED,
    REFUSED: exit_codes.BAD_INPUT,
    KEPT: exit_codes.GATE_FAILED,
    UNFINISHED: exit_codes.MACHINE,
}


class CannotBegin(Exception):
    """The night cannot begin; says all that prevents it."""


@flow(name=night.FLOW)
def nightly(date: str | None = None) -> State[None]:
    """Run the night of a date, 2026-11-25, or go on with it, in the repository's root.

    Without a date it is the night that was stopped half-way, else today's.

    Ends in a state named after what came of it: completed where the policy was promoted or the
    night was over before, failed where the champion stays or something prevented the night.
    """
    try:
        wanted = settings.load()
        tonight = night.wanted(date or _scheduled(wanted), wanted.schedule.timezone)
        record = night.record(tonight)
        for each in (record, *map(night.record, night.begun()[-1:])):
            ending.register(each)  # where a kill came before it
        if record:
            why = f"{record['verdict']}; {ending.reasons(record)}"
            return Completed(name=OVER, message=f"night {tonight} is over: {why}")
        return _state(_run(night.planned(wanted, tonight)))
    except (settings.SettingsError, night.NoDate, CannotBegin, stage.Busy) as error:
        return Failed(name=REFUSED, message=str(error))
    except (Unfinished, git.GitError, graph.GraphError, params_file.BadParams) as error:
        cure = "mend that, then start the night again: it goes on"
        return Failed(name=UNFINISHED, message=f"{error}\n  next: {cure}")


def run_night(date: str | None = None) -> tuple[int, str]:
    """Run the flow for a command: its exit code, and what to print.

    Prefect's environment names a server.
    """
    try:
        state = nightly(date, return_state=True)
    finally:
        train.deliver()
    return EXIT_CODES.get(state.name or "", exit_codes.STAGE_FAILED), state.message or ""


def _scheduled(wanted: Settings) -> str | None:
    """The date that the schedule started this run for; None where a person did."""
    if AUTOMATIC not in flow_run.tags or night.unfinished():
        return None
    return str(night.due(flow_run.scheduled_start_time, wanted.schedule))


def _run(plan: NightPlan) -> Record:
    """The night from where it is to its end; its record."""
    logger, began = get_run_logger(), time.monotonic()
    obstacles = preflight.obstacles(plan)
    if obstacles:
        listed = "".join(f"\n  - {each}" for each in obstacles)
        count = f"{len(obstacles)} thing(s) are in the way"
        raise CannotBegin(f"night {plan.night} cannot begin, {count}:{listed}")
    with stage.exclusive():
        git.drop_stale_locks()
        present = _begin(plan)
        logger.info("night %s: round %s from champion %s", plan.night, plan.night.round, present)
        record = _ran(plan, present)
        programs.dvc(plan.settings, "push", "--run-cache")
        ending.end(plan, record, began)
        ending.register(record)
    page = f"{markdown(record)}\n\n{pages.links()}"
    create_markdown_artifact(page, key="night", description=f"Night {plan.night}")
    return record


def _begin(plan: NightPlan) -> str:
    """Check out the night's branch, commit its round, and fetch what is not here.

    Returns the champion.
    """
    tonight = plan.night
    git.switch(tonight.branch)
    # An end that was cut short: its record, committed with the evidence, would say that the night
    # is over.
    git.git("reset", "--quiet")
    git.git("restore", "--worktree", str(GRAPH))
    tonight.file.unlink(missing_ok=True)
    params_file.publish(night.with_night(PARAMS.read_text(encoding="utf-8"), plan))
    branch.commit(tonight, f"Night {tonight}: begin round {tonight.round}", str(PARAMS))
    if _lacks_files():
        # Else all that is not in this clone would be made anew. Forced: a stage that was killed may
        # have left an output that no cache has, and makes it again.
        programs.dvc(plan.settings, "pull", "--allow-missing", "--force")
    return champion.at("HEAD").policy


def _lacks_files() -> bool:
    for planned in graph.plan():
        if any(reason.endswith(" deleted") for reason in planned.reasons):
            return True
    return False


def _ran(plan: NightPlan, present: str) -> Record:
    """Run what is not up to date and commit what came of it; the record as far as that goes.

    Raises:
        Unfinished: the machine failed, and no stage.
    """
    tonight, wanted = plan.night, plan.settings
    outcome = train.run_stages(
        None,
        wanted.retries,
        wanted.retry_delay_seconds,
        wanted.deadline_seconds,
        before_each=partial(branch.stay, tonight),
    )
    branch.stay(tonight)  # else what failed is the other branch's, and no verdict on this night
    broken = [failure for failure in outcome.failures if not _is_machine_failure(failure)]
    if outcome.failures and not broken:
        raise Unfinished(str(outcome))
    how = "a stage failed" if broken else "all stages ran"
    evidence = branch.commit(tonight, f"Night {tonight}: {how}", *COMMITTED)
    names = {"night": str(tonight), "round": tonight.round, "champion_before": present}
    came_of_it = ending.failure(broken[0]) if broken else ending.decision(plan, present)
    return {**names, "evidence": evidence, **came_of_it}


def _is_machine_failure(error: BaseException) -> bool:
    return isinstance(error, stage.StageFailed) and error.is_machine_failure


def _state(record: Record) -> State[None]:
    verdict = record["verdict"]
    what = f"night {record['night']}: {verdict}, champion is {record['champion_after']}"
    message = f"{what}; {ending.reasons(record)}"
    if verdict == PROMOTED:
        return Completed(name=PROMOTED, message=message)
    return Failed(name=verdict, message=message)

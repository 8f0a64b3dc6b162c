"""A night as a Prefect flow: a round trained on from the champion, examined, and perhaps promoted.

Git is its memory. On the branch of its date a night makes three commits: it begins (a round more in
params.yaml), it has run (dvc.lock and metrics, whatever came of it), it is over (the record, and
the champion where it is a new one). Killed at any moment, it goes on from the last of them; once it
is over, to start it again does nothing. It works in a worktree of its own (`work.py`), so that a
person may do with the checkout what they like meanwhile.
"""

import os
import sys
import time

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.nights import ending, night, preflight, settings, worktree
from flows.nights.ending import FAILED, KEPT, PROMOTED, Record
from flows.nights.night import Night, NightPlan
from flows.nights.programs import Unfinished
from flows.nights.report import markdown
from flows.nights.settings import Settings
from flows.project import exit_codes, git, params_file
from flows.project.paths import SCRATCH
from flows.running import pages, stage, train
from flows.running.children import Children

LOG, PROGRAM = "night", "flows.nights.work"
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
        for each in (tonight, *night.begun()[-1:]):
            if over := night.record(each):
                _close(each, over)
        if record:
            why = f"{record['verdict']}; {ending.reasons(record)}"
            return Completed(name=OVER, message=f"night {tonight} is over: {why}")
        return _state(_run(night.planned(wanted, tonight)))
    except (settings.SettingsError, night.NoDate, CannotBegin, stage.Busy) as error:
        return Failed(name=REFUSED, message=str(error))
    except (Unfinished, git.GitError, params_file.BadParams, worktree.Locked) as error:
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
    obstacles = preflight.obstacles(plan)
    if obstacles:
        listed = "".join(f"\n  - {each}" for each in obstacles)
        count = f"{len(obstacles)} thing(s) are in the way"
        raise CannotBegin(f"night {plan.night} cannot begin, {count}:{listed}")
    with stage.exclusive():
        git.drop_stale_locks()
        worktree.check_out(plan.night.branch, plan.base)
    hand_over(plan.night)
    record = night.record(plan.night)
    if record is None:
        raise Unfinished(f"night {plan.night} ended without a record; see {stage.log_path(LOG)}")
    _close(plan.night, record)
    page = f"{markdown(record)}\n\n{pages.links(worktree.FOLDER)}"
    create_markdown_artifact(page, key="night", description=f"Night {plan.night}")
    return record


def hand_over(tonight: Night) -> None:
    """Have the code of the nights' worktree do the work, in a process that ends with this one.

    Raises:
        Unfinished: it did not come to the night's end.
    """
    log, obstacle = stage.log_path(LOG), SCRATCH / "night.obstacle"
    obstacle.unlink(missing_ok=True)
    command = [sys.executable, "-m", PROGRAM, str(tonight), str(obstacle.absolute())]
    folder = worktree.FOLDER.absolute()
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    get_run_logger().info("night %s is at work in %s; log %s", tonight, worktree.FOLDER, log)
    with (
        Children() as children,
        log.open("wb") as output,
        children.running(command, env, output, folder) as child,
    ):
        while child.poll() is None:
            time.sleep(stage.POLL_SECONDS)
    if child.returncode:
        died = f"the night's process ended with exit code {child.returncode}; see {log}"
        raise Unfinished(obstacle.read_text(encoding="utf-8") if obstacle.exists() else died)


def _close(tonight: Night, record: Record) -> None:
    """What follows from a night that is over, and a kill may have left undone."""
    ending.register(record)
    worktree.release(tonight.branch)


def _state(record: Record) -> State[None]:
    verdict = record["verdict"]
    what = f"night {record['night']}: {verdict}, champion is {record['champion_after']}"
    message = f"{what}; {ending.reasons(record)}"
    if verdict == PROMOTED:
        return Completed(name=PROMOTED, message=message)
    return Failed(name=verdict, message=message)

"""The work of a night, by the code, parameters and data of its worktree.

`python -m flows.nights.work 2026-11-24 OBSTACLE`, started there by `flow.py`. Ends with 0 when the
night is over, and else with 75 when something prevented that: what it was, is in the file OBSTACLE.
"""

import sys
import time
from functools import partial
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.nights import branch, champion, ending, night, programs, settings
from flows.nights.ending import COMMITTED, Record
from flows.nights.night import Night, NightPlan
from flows.nights.programs import Unfinished
from flows.project import exit_codes, git, params_file
from flows.project.paths import DATA, LOCK, PARAMS
from flows.running import graph, stage, train

OBSTACLES = (
    Unfinished,
    champion.NoChampion,
    git.GitError,
    graph.GraphError,
    params_file.BadParams,
    settings.SettingsError,
    stage.Busy,
)


def main(date: str, obstacle: Path) -> int:
    """Bring the night to its end; the exit code."""
    try:
        state = work(date, return_state=True)
    finally:
        train.deliver()
    if state.is_completed():
        return 0
    obstacle.write_text(state.message or "no message", encoding="utf-8")
    return exit_codes.MACHINE


@flow(name=night.WORK)
def work(date: str) -> State[None]:
    """Go on with the night of a date from where it is to its end."""
    try:
        with stage.exclusive():
            _work(night.named(date, "UTC"))
    except OBSTACLES as error:
        return Failed(message=str(error))
    return Completed(message=f"night {date} is over")


def _work(tonight: Night) -> None:
    began = time.monotonic()
    branch.stay(tonight)
    plan = NightPlan(settings.load(), tonight, tonight.branch)
    present = _begin(plan)
    get_run_logger().info("night %s: round %s from champion %s", tonight, tonight.round, present)
    record = _ran(plan, present)
    programs.dvc(plan.settings, "push", "--run-cache")
    ending.end(plan, record, began)


def _begin(plan: NightPlan) -> str:
    """Commit the night's round, and fetch what is not here. Returns the champion."""
    tonight = plan.night
    # But for what stages made all is as committed: neither what a person edited here is part of
    # the night, nor an end that was cut short, whose record would say that the night is over.
    rest = (".", f":!{DATA}", f":!{LOCK}")
    git.git("reset", "--quiet")
    git.git("restore", "--worktree", "--", *rest)
    git.git("clean", "--quiet", "--force", "-d", "--", *rest)
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


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Path(sys.argv[2])))

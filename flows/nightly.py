"""A night as a Prefect flow: a round trained on from the champion, examined, and promoted where every gate passes.

Git is its memory. On the branch of its date a night makes three commits: it begins (a round more in params.yaml), it
has run (dvc.lock and metrics, whatever came of it), it is over (the record, and the champion where it is a new one).
Killed at any moment, it goes on from the last of them; once it is over, to start it again does nothing.
"""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import champion, git, graph, nights, pages, preflight, rounds, run, settings, train
from flows.gates import Drift, Gate, drift, gates
from flows.night_report import markdown
from flows.nights import Night
from flows.settings import Settings

OWN = (str(rounds.PARAMS), str(champion.GRAPH), str(champion.LOCK), "data")
PROMOTED, KEPT, FAILED = "promoted", "kept", "failed"  # the verdicts
OVER, REFUSED, UNFINISHED = "over", "refused", "unfinished"  # what else a start can end with
EXIT_CODES = {PROMOTED: 0, OVER: 0, FAILED: 1, REFUSED: 2, KEPT: 3, UNFINISHED: run.EXIT_MACHINE}


class Unfinished(Exception):
    """The night could not come to its end; started again it goes on. Says what was in the way."""


@flow(name="nightly")
def nightly(date: str | None = None) -> State[None]:
    """Run the night of a date, 2026-11-25, or go on with it. Stand in the repository's root.

    Without a date it is the night that was stopped half-way, else today's.

    Ends in a state named after what came of it: completed where the policy was promoted or the night was over before,
    failed where the champion stays or something was in the way.
    """
    try:
        wanted = settings.load()
        night = nights.wanted(date, wanted.schedule.timezone)
        found = nights.record(night)
        for each in (found, *map(nights.record, nights.begun()[-1:])):
            _register(each)  # where a kill came before it
        if found:
            return Completed(name=OVER, message=f"night {night} is over: {found['verdict']}; {_first(found)}")
        return _verdict(_run(preflight.plan(wanted, night)))
    except (settings.SettingsError, nights.NoDate, _Refused, run.Busy) as error:
        return Failed(name=REFUSED, message=str(error))
    except (Unfinished, git.GitError, graph.GraphError, rounds.Refused) as error:
        return Failed(name=UNFINISHED, message=f"{error}\n  next: mend that, then start the night again: it goes on")


def run_night(date: str | None = None) -> tuple[int, str]:
    """Run the flow for a command: its exit code, and what to tell. Prefect's environment names a server."""
    try:
        state = nightly(date, return_state=True)
    finally:
        train.deliver()
    return EXIT_CODES.get(state.name or "", 1), state.message or ""


class _Refused(Exception):
    """The night cannot begin; says all that stands in the way."""


def _run(plan: preflight.Plan) -> dict[str, Any]:
    """The night from where it is to its end; its record."""
    logger, began = get_run_logger(), time.monotonic()
    in_the_way = preflight.obstacles(plan)
    if in_the_way:
        listed = "".join(f"\n  - {each}" for each in in_the_way)
        raise _Refused(f"night {plan.night} cannot begin, {len(in_the_way)} thing(s) are in the way:{listed}")
    with run.exclusive():
        present = _begin(plan)
        logger.info("night %s: round %s from champion %s", plan.night, plan.night.round, present)
        wanted = plan.settings
        outcome = train.run_stages(None, wanted.retries, wanted.retry_delay_seconds, wanted.deadline_seconds)
        broken = [failure for failure in outcome.failures if not _is_machine_failure(failure)]
        if outcome.failures and not broken:
            raise Unfinished(str(outcome))
        evidence = git.commit(f"Night {plan.night}: {'a stage failed' if broken else 'all stages ran'}", *OWN)
        found = {"night": str(plan.night), "round": plan.night.round, "champion_before": present, "evidence": evidence}
        found |= _failure(broken[0]) if broken else _judged(plan, present)
        _dvc(wanted, "push", "--run-cache")
        _end(plan, found, began)
        _register(found)
    create_markdown_artifact(f"{markdown(found)}\n\n{pages.links()}", key="night", description=f"Night {plan.night}")
    return found


def _begin(plan: preflight.Plan) -> str:
    """Check out the night's branch, commit its round, and fetch what is not here. Returns the champion."""
    night = plan.night
    git.switch(night.branch)
    # An end that was cut short: its record, committed with the evidence, would say that the night is over.
    git.git("reset", "--quiet")
    git.git("restore", "--worktree", str(champion.GRAPH))
    night.file.unlink(missing_ok=True)
    rounds.publish(preflight.with_night(rounds.PARAMS.read_text(encoding="utf-8"), plan))
    git.commit(f"Night {night}: begin round {night.round}", str(rounds.PARAMS))
    if any(reason.endswith(" deleted") for node in graph.plan() for reason in node.reasons):
        # Else all that is not in this clone would be made anew. Forced: a stage that was killed may have left an output
        # that no cache has, and makes it again.
        _dvc(plan.settings, "pull", "--allow-missing", "--force")
    return champion.at("HEAD").policy


def _failure(error: BaseException) -> dict[str, Any]:
    """What the record says of a stage that failed."""
    if not isinstance(error, run.StageFailed):
        raise Unfinished(f"a stage ended with {type(error).__name__}: {error}")
    message = nights.portable(error.last_error)
    stage = {"name": error.name, "exit_code": error.exit_code, "error": message, "log": str(error.log)}
    why = f"stage {error.name} failed with exit code {error.exit_code}: {message}"
    return {"verdict": FAILED, "why": [why], "stage": stage, "gates": [], "drift": []}


def _judged(plan: preflight.Plan, present: str) -> dict[str, Any]:
    """What the record says of a round all of whose stages ran."""
    policy = plan.night.round
    judged = gates(policy, present, plan.settings)
    drifting = drift(policy, present, plan.settings)
    is_promoted = all(gate.is_passed for gate in judged)
    _log(judged, drifting)
    return {
        "verdict": PROMOTED if is_promoted else KEPT,
        "why": [f"{gate.name}: {gate.why}" for gate in judged if is_promoted or not gate.is_passed],
        "stage": None,
        "gates": [asdict(gate) for gate in judged],
        "drift": [{**asdict(each), "is_within": each.is_within} for each in drifting],
    }


def _log(judged: list[Gate], drifting: list[Drift]) -> None:
    logger = get_run_logger()
    for gate in judged:
        tell, how = (logger.info, "passed") if gate.is_passed else (logger.error, "failed")
        tell("gate %s %s: %s", gate.name, how, gate.why)
    for each in drifting:
        if not each.is_within:
            logger.warning("drift: %s", each)


def _end(plan: preflight.Plan, found: dict[str, Any], began: float) -> None:
    """Sign and promote, or withdraw; then commit the record, which makes the night over. Completes the record."""
    night = plan.night
    is_promoted = found["verdict"] == PROMOTED
    found["champion_after"] = night.round if is_promoted else found["champion_before"]
    found["version"] = night.version if is_promoted else None
    if is_promoted:
        _sign(plan.settings, night.round)
        champion.promote(night.round)
    if found["verdict"] == FAILED:
        _withdraw(night)
    found["seconds"] = round(time.monotonic() - began, 1)
    night.file.parent.mkdir(parents=True, exist_ok=True)
    night.file.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    git.commit(f"Night {night}: {found['verdict']}, champion {found['champion_after']}\n\n{_first(found)}", *OWN)


def _withdraw(night: Night) -> None:
    """Take out a round that failed, or it would fail every night to come. The commit before this one has it all."""
    from dvc.utils.serialize import modify_yaml

    rounds.publish(rounds.without_round(rounds.PARAMS.read_text(encoding="utf-8"), night.round))
    if not champion.LOCK.exists():
        return
    with modify_yaml(champion.LOCK) as lock:
        for name in [name for name in lock["stages"] if name.endswith(f"@{night.round}")]:
            for out in lock["stages"].pop(name).get("outs", []):
                _remove(Path(out["path"]))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _sign(wanted: Settings, policy: str) -> None:
    if wanted.signing_key is not None:
        _call(wanted, "lineage", "sign", policy, "--key", str(wanted.signing_key))


def _dvc(wanted: Settings, command: str, *arguments: str) -> None:
    _call(
        wanted, "dvc", "--wait-for-lock", command, *(["--remote", wanted.remote] if wanted.remote else []), *arguments
    )


def _call(wanted: Settings, module: str, *arguments: str) -> None:
    """Run a program of this environment.

    Raises:
        Unfinished: it failed, or took longer than a stage may.
    """
    what = f"{module} {next(word for word in arguments if not word.startswith('-'))}"
    get_run_logger().info("%s", what)
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=wanted.deadline_seconds,
        )
    except subprocess.TimeoutExpired:
        raise Unfinished(f"{what} was not done in {wanted.deadline_seconds:g} s") from None
    if done.returncode:
        raise Unfinished(f"{what} failed with exit code {done.returncode}: {' '.join(done.stderr.split())}")


def _register(found: dict[str, Any] | None) -> None:
    """Tag the commit of a promotion, once."""
    if found and found["verdict"] == PROMOTED:
        night = nights.named(found["night"], "UTC")
        where = night.branch if git.has_branch(night.branch) else "HEAD"
        commit = git.git("log", "-1", "--format=%H", "--diff-filter=A", where, "--", str(night.file))
        champion.register(found["version"], commit, found["champion_after"])


def _is_machine_failure(error: BaseException) -> bool:
    return isinstance(error, run.StageFailed) and error.is_machine_failure


def _verdict(found: dict[str, Any]) -> State[None]:
    message = f"night {found['night']}: {found['verdict']}, champion is {found['champion_after']}; {_first(found)}"
    if found["verdict"] == PROMOTED:
        return Completed(name=PROMOTED, message=message)
    return Failed(name=found["verdict"], message=message)


def _first(found: dict[str, Any]) -> str:
    return "; ".join(found["why"])

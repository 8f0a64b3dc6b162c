"""The end of a night: its record, and what follows from it in git, dvc.yaml and params.yaml."""

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import get_run_logger

from flows.nights import branch, champion, night, programs
from flows.nights.gates import Drift, Gate, drift, gates
from flows.nights.night import Night, NightPlan
from flows.nights.programs import Unfinished
from flows.project import git, params_file
from flows.project.paths import DATA, GRAPH, LOCK, PARAMS
from flows.running.stage import StageFailed

Record = dict[str, Any]
COMMITTED = (str(PARAMS), str(GRAPH), str(LOCK), str(DATA))
PROMOTED, KEPT, FAILED = "promoted", "kept", "failed"  # the verdicts


def failure(error: BaseException) -> Record:
    """What the record says of a stage that failed."""
    if not isinstance(error, StageFailed):
        raise Unfinished(f"a stage ended with {type(error).__name__}: {error}")
    message = night.portable(error.last_error)
    stage = {"name": error.name, "exit_code": error.exit_code, "error": message}
    why = f"stage {error.name} failed with exit code {error.exit_code}: {message}"
    return {
        "verdict": FAILED,
        "why": [why],
        "stage": {**stage, "log": str(error.log)},
        "gates": [],
        "drift": [],
    }


def decision(plan: NightPlan, present: str) -> Record:
    """What the record says of a round all of whose stages ran, against the present champion."""
    policy = plan.night.round
    decided = gates(policy, present, plan.settings)
    measured = drift(policy, present, plan.settings)
    is_promoted = all(gate.is_passed for gate in decided)
    _log(decided, measured)
    failed = [gate for gate in decided if not gate.is_passed]
    return {
        "verdict": PROMOTED if is_promoted else KEPT,
        "why": [f"{gate.name}: {gate.why}" for gate in failed or decided],
        "stage": None,
        "gates": [asdict(gate) for gate in decided],
        "drift": [{**asdict(each), "is_within": each.is_within} for each in measured],
    }


def end(plan: NightPlan, record: Record, began: float) -> None:
    """Sign and promote, or withdraw; then commit the record, which makes the night over.

    Completes the record.
    """
    tonight = plan.night
    branch.stay(tonight)
    is_promoted = record["verdict"] == PROMOTED
    record["champion_after"] = tonight.round if is_promoted else record["champion_before"]
    record["version"] = tonight.version if is_promoted else None
    if is_promoted:
        programs.sign(plan.settings, tonight.round)
        champion.promote(tonight.round)
    if record["verdict"] == FAILED:
        _withdraw(tonight)
    record["seconds"] = round(time.monotonic() - began, 1)
    tonight.file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=2, sort_keys=True)
    tonight.file.write_text(f"{text}\n", encoding="utf-8")
    subject = f"Night {tonight}: {record['verdict']}, champion {record['champion_after']}"
    branch.commit(tonight, f"{subject}\n\n{reasons(record)}", *COMMITTED)


def register(record: Record) -> None:
    """Tag the commit of a promotion, once."""
    if record["verdict"] == PROMOTED:
        promoted = night.named(record["night"], "UTC")
        where = promoted.branch if git.has_branch(promoted.branch) else "HEAD"
        added = ("--format=%H", "--diff-filter=A", where, "--", str(promoted.file))
        commit = git.git("log", "-1", *added)
        champion.register(record["version"], commit, record["champion_after"])


def reasons(record: Record) -> str:
    """Why it ended so, on one line."""
    return "; ".join(record["why"])


def _log(decided: list[Gate], measured: list[Drift]) -> None:
    logger = get_run_logger()
    for gate in decided:
        log, how = (logger.info, "passed") if gate.is_passed else (logger.error, "failed")
        log("gate %s %s: %s", gate.name, how, gate.why)
    for each in measured:
        if not each.is_within:
            logger.warning("drift: %s", each)


def _withdraw(tonight: Night) -> None:
    """Take out a round that failed, or it would fail every night to come.

    The commit before this one has it all.
    """
    from dvc.utils.serialize import modify_yaml

    text = PARAMS.read_text(encoding="utf-8")
    params_file.publish(params_file.without_round(text, tonight.round))
    if not LOCK.exists():
        return
    with modify_yaml(LOCK) as lock:
        for name in [name for name in lock["stages"] if name.endswith(f"@{tonight.round}")]:
            for out in lock["stages"].pop(name).get("outs", []):
                _remove(Path(out["path"]))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)

"""How close a policy that was made anew came to the one on record, and where it first differs."""

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lineage.data.closeness import ABSOLUTE, APART, RELATIVE, Distance, distance
from lineage.record.ancestry import RunFacts, run_facts
from lineage.record.audit import Audit
from lineage.record.errors import AuditError, Finding
from lineage.record.flags import Flag
from lineage.record.lock import LISTER, File, Step
from lineage.record.values import Value

THREADS, DEFAULT_THREADS = "KNOWHOW_THREADS", "2"
BIT_EQUAL, WITHIN = "bit-equal", "within tolerance"
EXAM_EQUAL, DIFFERENT = "equal in exam metrics", "different"


@dataclass(frozen=True)
class Tolerance:
    """What counts as close: `absolute + relative * |recorded|`."""

    absolute: float
    relative: float


@dataclass(frozen=True)
class FileDistance:
    """A file that is not the same bytes."""

    path: str
    is_close: bool
    largest: float | None
    """Largest difference of two numbers, where numbers are all that differs."""
    unknown: str | None = None
    """Why nothing more is known."""


@dataclass(frozen=True)
class StepDifference:
    """A step that wrote otherwise, and why as far as can be seen."""

    step: str
    outs: list[FileDistance]
    reasons: list[str]


@dataclass(frozen=True)
class Comparison:
    """The verdict on a policy made anew."""

    policy: str
    commit: str
    verdict: str
    tolerance: Tolerance
    num_steps: int
    first: str | None
    """The first step that differs."""
    steps: list[StepDifference]
    findings: list[Finding]


def compare(recorded: Audit, rebuilt: Audit, policy: str) -> Comparison:
    """Hold what was built anew to what is on record, step by step, parents first.

    Other code is a reason, no result.
    """
    ancestors = recorded.graph.ancestors(*steps_of(recorded, policy))
    steps = [step for step in ancestors if step.name != LISTER]
    differing = list(filter(None, (_step(recorded, rebuilt, step) for step in steps)))
    verdict = _verdict(recorded, rebuilt, policy, differing)
    first = differing[0] if differing else None
    findings = []
    if verdict == DIFFERENT and first:
        findings.append(Finding("rebuild", first.step, "; ".join(first.reasons)))
    return Comparison(
        policy=policy,
        commit=recorded.tree.commit,
        verdict=verdict,
        tolerance=Tolerance(ABSOLUTE, RELATIVE),
        num_steps=len(steps),
        first=first.step if first else None,
        steps=differing,
        findings=findings,
    )


def steps_of(audit: Audit, policy: str) -> list[Step]:
    """The step that made a policy, and those of its exam."""
    return [audit.graph.policy(policy), *audit.graph.exam(policy)]


def _verdict(
    recorded: Audit, rebuilt: Audit, policy: str, differing: Sequence[StepDifference]
) -> str:
    if not differing:
        return BIT_EQUAL
    if all(out.is_close for step in differing for out in step.outs):
        return WITHIN
    exam = _success(recorded, policy)
    return EXAM_EQUAL if exam and exam == _success(rebuilt, policy) else DIFFERENT


def _success(audit: Audit, policy: str) -> dict[str, Value]:
    """Success at the exam by level and budget; empty where there was none."""
    step = audit.graph.of_key(policy).get("evaluate")
    file = step.written(Flag.METRICS) if step else None
    if file is None:
        return {}
    with audit.store.open(file) as stream:
        levels = json.load(stream)
    return {name: level["success"] for name, level in levels.items() if "success" in level}


def _step(recorded: Audit, rebuilt: Audit, step: Step) -> StepDifference | None:
    """What a step wrote otherwise, and why; None where it wrote the same bytes."""
    again = rebuilt.graph.steps.get(step.name)
    if again is None:
        gone = [_of(out.path, APART) for out in step.outs]
        return StepDifference(step.name, gone, ["the commit's dvc.yaml has no such step"])
    files = {out.path: out for out in again.outs}
    outs: list[FileDistance] = []
    for out in step.outs:
        if files.get(out.path) != out:
            outs += _outs(recorded, rebuilt, out, files.get(out.path))
    if not outs:
        return None
    return StepDifference(step.name, outs, _reasons(recorded, rebuilt, step, again))


def _outs(recorded: Audit, rebuilt: Audit, out: File, again: File | None) -> list[FileDistance]:
    """The files of an output that are not the same bytes."""
    if again is None:
        return [_of(out.path, APART)]
    try:
        return list(_files(recorded, rebuilt, out, again))
    except AuditError as error:  # the verdict took hours: better given without this than not at all
        return [FileDistance(out.path, APART.is_close, APART.largest, str(error))]


def _files(recorded: Audit, rebuilt: Audit, out: File, again: File) -> Iterator[FileDistance]:
    then = {member.name: member.md5 for member in recorded.store.members(out)}
    now = {member.name: member.md5 for member in rebuilt.store.members(again)}
    for name in sorted(then.keys() | now.keys()):
        path = f"{out.path}/{name}".rstrip("/")
        if name not in then or name not in now:
            yield _of(path, APART)
        elif then[name] != now[name]:
            with (
                recorded.store.open(out, name) as left,
                rebuilt.store.open(again, name) as right,
            ):
                yield _of(path, distance(path, left, right))


def _of(path: str, apart: Distance) -> FileDistance:
    return FileDistance(path, apart.is_close, apart.largest)


def _reasons(recorded: Audit, rebuilt: Audit, step: Step, again: Step) -> list[str]:
    """Why a step may have written otherwise: by lock files, run facts, and this machine."""
    then: RunFacts = run_facts(recorded.tree, step) or {}
    now: RunFacts = run_facts(rebuilt.tree, again) or {}
    differing = {
        "command": [] if step.command == again.command else [again.command],
        "code": _changed(step.code, again.code),
        "params": _changed(step.params, again.params),
        "inputs": _changed(_inputs(recorded, step), _inputs(rebuilt, again)),
        "packages": _changed(then.get("packages", {}), now.get("packages", {})) if then else [],
        "python": [now.get("python", "unknown")]
        if then and then.get("python") != now.get("python")
        else [],
    }
    reasons = [f"{kind} differ: {', '.join(names)}" for kind, names in differing.items() if names]
    threads = os.environ.get(THREADS, DEFAULT_THREADS)
    if threads != DEFAULT_THREADS:
        reasons.append(f"{THREADS} is {threads} here, {DEFAULT_THREADS} unless set")
    return reasons or [
        "nothing on record differs; CPU and threads are not on record: "
        f"here {_cpu()}, {threads} threads"
    ]


def _inputs(audit: Audit, step: Step) -> dict[str, str]:
    """What it read that another step wrote, but its listing of code."""
    inputs = {}
    for dep in step.deps:
        maker = audit.graph.maker(dep.path)
        if maker and maker.name != LISTER:
            inputs[dep.path] = dep.md5
    return inputs


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _cpu() -> str:
    """The model of this machine's CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())

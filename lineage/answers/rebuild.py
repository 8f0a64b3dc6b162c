"""Make a policy anew in a clean clone, and say how close it came and where it first differs.

The clone has the code and params of the commit, an empty cache and no result, so that nothing of the first build is
taken over. Packages, device and threads are those of today.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lineage.data.closeness import ABSOLUTE, APART, RELATIVE, Distance, distance
from lineage.record.ancestry import EXAM, run_facts
from lineage.record.audit import Audit, open_audit
from lineage.record.errors import AuditError, Finding
from lineage.record.graph import Graph
from lineage.record.lock import LISTER, LOCK, File, Step
from lineage.record.tree import git

INPUTS = ("params.yaml", "dvc.yaml")
GRACE_SECONDS = "10"
NUM_LAST_LINES = 5
THREADS, DEFAULT_THREADS = "KNOWHOW_THREADS", "2"
BIT_EQUAL, WITHIN, EXAM_EQUAL, DIFFERENT = "bit-equal", "within tolerance", "equal in exam metrics", "different"


def rebuild(audit: Audit, policy: str, folder: Path | None) -> dict[str, Any]:
    """Run the steps the policy came from, and those of its exam, and compare what they wrote.

    Raises:
        AuditError: code or params are not those of the commit, the folder is in use, or a step failed.
    """
    targets = steps_of(audit.graph, policy)
    refuse_changes(audit, audit.graph.ancestors(*targets))
    with _place(folder) as root:
        clone(audit, root)
        run([step.name for step in targets], root)
        return compare(audit, open_audit(root, None), policy)


def steps_of(graph: Graph, policy: str) -> list[Step]:
    """The step that made a policy, and those of its exam."""
    return [graph.policy(policy), *(step for name, step in graph.of_key(policy).items() if name in EXAM)]


def refuse_changes(audit: Audit, steps: Sequence[Step]) -> None:
    """See that a working tree has the code and params of its commit: a clone would have others than it.

    Raises:
        AuditError: a file differs.
    """
    if audit.tree.root is None:
        return
    wanted = sorted({*INPUTS, *(path for step in steps for path in step.code)})
    changed = git(audit.tree.root, "status", "--porcelain", "--untracked-files=all", "--", *wanted).splitlines()
    if changed:
        raise AuditError(
            f"{len(changed)} files of code or params differ from commit {audit.tree.commit[:12]}, first "
            f"{changed[0][3:]}; commit them, or ask for POLICY@REVISION"
        )


def clone(audit: Audit, root: Path) -> None:
    """Clone the commit, with a cache of its own and without any result."""
    git(audit.tree.repository, "clone", "--quiet", "--no-checkout", str(audit.tree.repository.resolve()), str(root))
    git(root, "checkout", "--quiet", "--detach", audit.tree.commit)
    (root / ".dvc/config.local").write_text("[cache]\n    dir = cache\n")
    kept_by_git = git(root, "ls-files", "-z").split("\0")
    results = tuple(f"{out.path}/" for step in audit.graph.steps.values() for out in step.outs)
    for path in (LOCK, *kept_by_git):
        if path == LOCK or f"{path}/".startswith(results):
            (root / path).unlink(missing_ok=True)


def run(targets: Sequence[str], root: Path) -> None:
    """Run steps in the clone, what they print going to stderr. Nothing of it outlives this process, however it ends.

    Raises:
        AuditError: a step failed.
    """
    stages = [sys.executable, "-m", "flows.warm", "dvc", "repro", *targets]
    guarded = [sys.executable, "-m", "flows.run", GRACE_SECONDS, *stages]  # ends all below it when its stdin closes
    last: deque[str] = deque(maxlen=NUM_LAST_LINES)
    running = subprocess.Popen(
        guarded,
        cwd=root,
        env=_environment(root),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        for line in running.stdout:
            print(line, end="", file=sys.stderr, flush=True)
            last.append(line.strip())
    finally:
        running.stdin.close()
        running.wait()
        running.stdout.close()
    if running.returncode:
        raise AuditError(f"rebuilding {', '.join(targets)} ended with {running.returncode}: {' / '.join(last)}")


def compare(before: Audit, after: Audit, policy: str) -> dict[str, Any]:
    """Hold what was built anew to what is on record, step by step, parents first. Other code is a reason, no result."""
    steps = [step for step in before.graph.ancestors(*steps_of(before.graph, policy)) if step.name != LISTER]
    differing = [found for step in steps if (found := _step(before, after, step))]
    verdict = _verdict(before, after, policy, differing)
    first = differing[0] if differing else None
    findings = []
    if verdict == DIFFERENT and first:
        findings.append(Finding("rebuild", first["step"], "; ".join(first["reasons"])))
    return {
        "policy": policy,
        "commit": before.tree.commit,
        "verdict": verdict,
        "tolerance": {"absolute": ABSOLUTE, "relative": RELATIVE},
        "num_steps": len(steps),
        "first": first["step"] if first else None,
        "steps": differing,
        "findings": [asdict(finding) for finding in findings],
    }


def text(found: Mapping[str, Any]) -> RenderableType:
    """The verdict, then each step that differs: with what, by how much, and why as far as can be seen."""
    tolerance = found["tolerance"]
    head = f"{found['policy']} of commit {found['commit'][:12]}, made anew in {found['num_steps']} steps: "
    styles = {BIT_EQUAL: "green", DIFFERENT: "red"}
    lines = [Text.assemble(head, (found["verdict"], f"bold {styles.get(found['verdict'], 'yellow')}"))]
    if found["first"]:
        close = f"close is within {tolerance['absolute']:g} + {tolerance['relative']:g} of the number"
        lines.append(Text(f"differs from step {found['first']} on; {close}"))
    for step in found["steps"]:
        lines.append(Text(f"  {step['step']}", "bold"))
        lines += [Text(f"    {_told(out)}") for out in step["outs"]]
        lines += [Text(f"    why: {reason}", "dim") for reason in step["reasons"]]
    return Group(*lines)


def _told(out: Mapping[str, Any]) -> str:
    if out["unknown"]:
        return f"{out['path']} different, by how much is unknown: {out['unknown']}"
    by = f", by {out['largest']:.2g} at most" if out["largest"] is not None else ""
    return f"{out['path']} {'close' if out['is_close'] else 'different'}{by}"


def _verdict(before: Audit, after: Audit, policy: str, differing: Sequence[Mapping[str, Any]]) -> str:
    if not differing:
        return BIT_EQUAL
    if all(out["is_close"] for step in differing for out in step["outs"]):
        return WITHIN
    exams = [_exam(audit, policy) for audit in (before, after)]
    return EXAM_EQUAL if exams[0] and exams[0] == exams[1] else DIFFERENT


def _exam(audit: Audit, policy: str) -> dict[str, Any]:
    """Success at the exam by level and budget; empty where there was none."""
    step = audit.graph.of_key(policy).get("evaluate")
    file = step.written("metrics") if step else None
    if file is None:
        return {}
    with audit.store.open(file) as stream:
        return {level: told["success"] for level, told in json.load(stream).items() if "success" in told}


def _step(before: Audit, after: Audit, step: Step) -> dict[str, Any] | None:
    """What a step wrote otherwise, and why; None where it wrote the same bytes."""
    again = after.graph.steps.get(step.name)
    if again is None:
        gone = [_out(out.path, APART) for out in step.outs]
        return {"step": step.name, "outs": gone, "reasons": ["the commit's dvc.yaml has no such step"]}
    files = {out.path: out for out in again.outs}
    changed = [out for out in step.outs if files.get(out.path) != out]
    outs = [told for out in changed for told in _outs(before, after, out, files.get(out.path))]
    return {"step": step.name, "outs": outs, "reasons": _reasons(before, after, step, again)} if outs else None


def _outs(before: Audit, after: Audit, out: File, again: File | None) -> list[dict[str, Any]]:
    """The files of an output that are not the same bytes."""
    if again is None:
        return [_out(out.path, APART)]
    try:
        return list(_files(before, after, out, again))
    except AuditError as error:  # the verdict took hours: better told without this than not at all
        return [{**_out(out.path, APART), "unknown": str(error)}]


def _files(before: Audit, after: Audit, out: File, again: File) -> Iterator[dict[str, Any]]:
    recorded, rebuilt = (
        {member.name: member.md5 for member in audit.store.members(file)}
        for audit, file in ((before, out), (after, again))
    )
    for name in sorted(recorded.keys() | rebuilt.keys()):
        path = f"{out.path}/{name}".rstrip("/")
        if name not in recorded or name not in rebuilt:
            yield _out(path, APART)
        elif recorded[name] != rebuilt[name]:
            with before.store.open(out, name) as left, after.store.open(again, name) as right:
                yield _out(path, distance(path, left, right))


def _out(path: str, found: Distance) -> dict[str, Any]:
    return {"path": path, "is_close": found.is_close, "largest": found.largest, "unknown": None}


def _reasons(before: Audit, after: Audit, step: Step, again: Step) -> list[str]:
    """Why a step may have written otherwise: by the lock files, the run facts, and this machine."""
    data = [
        {dep.path: dep.md5 for dep in one.deps if (maker := audit.graph.maker(dep.path)) and maker.name != LISTER}
        for audit, one in ((before, step), (after, again))
    ]
    facts = [run_facts(audit.tree, one) or {} for audit, one in ((before, step), (after, again))]
    seen = {
        "command": [] if step.command == again.command else [again.command],
        "code": _changed(step.code, again.code),
        "params": _changed(step.params, again.params),
        "inputs": _changed(*data),
        "packages": _changed(*(one.get("packages", {}) for one in facts)) if facts[0] else [],
        "python": [facts[1]["python"]] if facts[0] and facts[0].get("python") != facts[1].get("python") else [],
    }
    found = [f"{kind} differ: {', '.join(names)}" for kind, names in seen.items() if names]
    threads = os.environ.get(THREADS, DEFAULT_THREADS)
    if threads != DEFAULT_THREADS:
        found.append(f"{THREADS} is {threads} here, {DEFAULT_THREADS} unless set")
    return found or [f"nothing on record differs; CPU and threads are not on record: here {_cpu()}, {threads} threads"]


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _cpu() -> str:
    """The model of this machine's CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    """The folder asked for, kept; else one that goes."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="knowhow-rebuild-") as made:
            yield Path(made) / "clone"
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AuditError(f"{folder} is in use; name a folder that is empty or not there yet")
    else:
        yield folder.resolve()


def _environment(root: Path) -> dict[str, str]:
    """That of this process; but DVC knows no settings and no state from outside the clone."""
    nowhere = str(root / ".dvc/tmp/outside")
    kinds = ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **dict.fromkeys(kinds, nowhere), "PATH": path, "DVC_NO_ANALYTICS": "1"}

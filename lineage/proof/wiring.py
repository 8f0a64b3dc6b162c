"""dvc.lock held against its revision: what dvc.yaml and params.yaml ask for, the code in git, and its own edges."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from lineage.proof.evidence import Evidence
from lineage.record.audit import Audit
from lineage.record.errors import AuditError, Finding
from lineage.record.lock import FOLDER, LISTER, Step
from lineage.record.store import Member, folder_list
from lineage.record.template import GRAPH, PARAMS, Asked, asked_steps, read_yaml, value_at
from lineage.record.tree import Tree


def check_wiring(audit: Audit, steps: Sequence[Step], evidence: Evidence) -> list[Finding]:
    """What does not fit together."""
    found = [*check_edges(audit, steps, evidence), *check_sources(audit, steps)]
    try:
        params, asked = read_yaml(audit.tree, PARAMS), asked_steps(audit.tree)
    except AuditError as error:
        return [*found, Finding("graph", GRAPH, str(error))]
    found += check_steps(audit.graph.steps, asked)
    for step in steps:
        found += check_params(step, params)
        if step.name in asked:
            found += check_asked(step, asked[step.name])
    return found


def check_steps(steps: Mapping[str, Step], asked: Mapping[str, Asked]) -> Iterator[Finding]:
    """The steps that ran are those asked for."""
    for name in sorted(asked.keys() - steps.keys()):
        yield Finding("steps", name, f"{PARAMS} asks for it, and dvc.lock has it not; `dvc repro` runs it")
    for name in sorted(steps.keys() - asked.keys()):
        yield Finding("steps", name, f"dvc.lock has it, and {GRAPH} with {PARAMS} asks for no such step")


def check_params(step: Step, params: Mapping[str, Any]) -> Iterator[Finding]:
    """Every value a step ran with is that of params.yaml."""
    for key, value in step.params.items():
        try:
            today = value_at(params, key)
        except KeyError:
            yield Finding("params", step.name, f"it ran with {key}, which {PARAMS} has not")
            continue
        for dotted, then, now in differences(key, value, today):
            yield Finding("params", step.name, f"it ran with {dotted} {then}, {PARAMS} has {now}")


def check_asked(step: Step, asked: Asked) -> Iterator[Finding]:
    """Its command, inputs, outputs and params are those of its template."""
    if step.command.split() != asked.command.split():
        first = next(
            filter(lambda pair: pair[0] != pair[1], zip(step.command.split(), asked.command.split(), strict=False)),
            None,
        )
        what = (
            f"ran `{first[0]}` where {GRAPH} has `{first[1]}`" if first else f"is longer or shorter than {GRAPH} has it"
        )
        yield Finding("command", step.name, f"its command {what}")
    listed = {
        "deps": ({dep.path for dep in step.deps}, asked.deps),
        "outs": ({out.path for out in step.outs}, asked.outs),
        "params": ({*step.params}, asked.params),
    }
    for kind, (recorded, wanted) in listed.items():
        for path in sorted(recorded ^ wanted):
            has, lacks = ("dvc.lock", GRAPH) if path in recorded else (GRAPH, "dvc.lock")
            yield Finding(kind, step.name, f"{path} is one of its {kind} in {has}, not in {lacks}")


def check_edges(audit: Audit, steps: Sequence[Step], evidence: Evidence) -> Iterator[Finding]:
    """What a step read is what the step before it wrote."""
    outs = {out.path: out for step in audit.graph.steps.values() for out in step.outs}
    for step in steps:
        for dep in step.deps:
            if (maker := audit.graph.maker(dep.path)) is not None:
                part = evidence.parts.get(dep.path)
                wrote = outs[dep.path].md5 if dep.path in outs else part.md5 if part else None
                if wrote is not None and wrote != dep.md5:
                    message = f"read {dep.path} {dep.md5[:12]}, but {maker.name} wrote {wrote[:12]}"
                    yield Finding("edges", step.name, message)


def check_sources(audit: Audit, steps: Sequence[Step]) -> Iterator[Finding]:
    """What a step read and no step wrote, and the code it ran, is in the revision."""
    outs = [PurePosixPath(path) for path in audit.graph.makers]
    folders = {str(folder) for path in outs for folder in path.parents}
    sources: dict[str, str | None] = {}
    for step in steps:
        read = {dep.path: dep.md5 for dep in step.deps if audit.graph.maker(dep.path) is None}
        for path, md5 in {**read, **step.code}.items():
            if path not in folders:
                if path not in sources:
                    sources[path] = source_md5(audit.tree, path, is_folder=md5.endswith(FOLDER))
                yield from _source(step, path, md5, sources[path])
        if not step.code and any(audit.graph.maker(dep.path) is audit.graph.steps.get(LISTER) for dep in step.deps):
            yield Finding("code", step.name, "what code it ran is not known: git has its listing in no commit")


def source_md5(tree: Tree, path: str, is_folder: bool) -> str | None:
    """md5 of a file or folder that no step wrote, as it is in the revision; None where there is none."""
    if is_folder:
        members = [Member(name.removeprefix(f"{path}/"), _md5(tree.read(name))) for name in tree.paths(f"{path}/")]
        return f"{_md5(folder_list(members))}{FOLDER}" if members else None
    try:
        return _md5(tree.read(path))
    except (FileNotFoundError, IsADirectoryError):
        return None


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _source(step: Step, path: str, md5: str, found: str | None) -> Iterator[Finding]:
    if found is None:
        yield Finding("code", step.name, f"read {path}, which no step wrote and the revision has not")
    elif found != md5:
        yield Finding("code", step.name, f"ran with {path} {md5[:12]}; it is {found[:12]} now")


def differences(key: str, then: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """The dotted keys whose values differ, with both."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*then, *now]):
            yield from differences(f"{key}.{name}", then.get(name, "nothing"), now.get(name, "nothing"))
    elif then != now:
        yield key, then, now

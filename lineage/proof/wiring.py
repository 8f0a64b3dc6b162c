"""dvc.lock held against its revision: dvc.yaml, params.yaml, the code in git, and its own edges."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import PurePosixPath

from lineage.proof.evidence import Evidence
from lineage.record.audit import Audit
from lineage.record.code_digest import is_listed
from lineage.record.digests import md5_of
from lineage.record.errors import AuditError, Finding
from lineage.record.lock import FOLDER, LISTER, Step
from lineage.record.store import Member, folder_list
from lineage.record.template import GRAPH, PARAMS, PlannedStep, planned_steps, read_yaml
from lineage.record.tree import Tree
from lineage.record.values import Values, differences, value_at


def check_wiring(audit: Audit, steps: Sequence[Step], evidence: Evidence) -> list[Finding]:
    """What does not fit together."""
    findings = [*check_edges(audit, steps, evidence), *check_sources(audit, steps)]
    try:
        params, planned = read_yaml(audit.tree, PARAMS), planned_steps(audit.tree)
    except AuditError as error:
        return [*findings, Finding("graph", GRAPH, str(error))]
    findings += check_steps(audit.graph.steps, planned, {step.name for step in steps})
    for step in steps:
        findings += check_params(step, params)
        if step.name in planned:
            findings += check_plan(step, planned[step.name])
    return findings


def check_steps(
    steps: Mapping[str, Step], planned: Mapping[str, PlannedStep], policy: Set[str]
) -> Iterator[Finding]:
    """The steps that ran are those asked for.

    DVC keeps the entry of a step that is asked for no more: it is a fault where the policy came
    from it, or where what is asked for reads it.
    """
    for name in sorted(planned.keys() - steps.keys()):
        message = f"{PARAMS} asks for it, and dvc.lock does not have it; `dvc repro` runs it"
        yield Finding("steps", name, message)
    for name in sorted((steps.keys() & policy) - planned.keys()):
        message = (
            f"dvc.lock has it, and {GRAPH} with {PARAMS} asks for no such step; `knowhow tidy` "
            "takes its entry out of dvc.lock, or put into params.yaml what asks for it"
        )
        yield Finding("steps", name, message)


def check_params(step: Step, params: Values) -> Iterator[Finding]:
    """Every value a step ran with is that of params.yaml."""
    for key, value in step.params.items():
        try:
            today = value_at(params, key)
        except KeyError:
            message = f"it ran with {key}, which {PARAMS} does not have"
            yield Finding("params", step.name, message)
            continue
        for dotted, then, now in differences(key, value, today):
            message = f"it ran with {dotted} {then}, {PARAMS} has {now}"
            yield Finding("params", step.name, message)


def check_plan(step: Step, planned: PlannedStep) -> Iterator[Finding]:
    """Its command, inputs, outputs and params are those of its template."""
    if message := _other_command(step.command.split(), planned.command.split()):
        yield Finding("command", step.name, f"its command {message}")
    listed = {
        "deps": ({dep.path for dep in step.deps}, planned.deps),
        "outs": ({out.path for out in step.outs}, planned.outs),
        "params": ({*step.params}, planned.params),
    }
    for kind, (recorded, wanted) in listed.items():
        for path in sorted(recorded ^ wanted):
            has, lacks = ("dvc.lock", GRAPH) if path in recorded else (GRAPH, "dvc.lock")
            message = f"{path} is one of its {kind} in {has}, not in {lacks}"
            yield Finding(kind, step.name, message)


def _other_command(ran: Sequence[str], wanted: Sequence[str]) -> str | None:
    """How a command differs from its template; None where it does not."""
    for word, due in zip_longest(ran, wanted):
        if word is None or due is None:
            return f"is longer or shorter than {GRAPH} has it"
        if word != due:
            return f"ran `{word}` where {GRAPH} has `{due}`"
    return None


def check_edges(audit: Audit, steps: Sequence[Step], evidence: Evidence) -> Iterator[Finding]:
    """What a step read is what the step before it wrote."""
    written = {out.path: out.md5 for step in audit.graph.steps.values() for out in step.outs}
    for step in steps:
        for dep in step.deps:
            maker = audit.graph.maker(dep.path)
            file = evidence.files.get(dep.path)
            wrote = written.get(dep.path, file.md5 if file else None)
            if maker is not None and wrote is not None and wrote != dep.md5:
                message = f"read {dep.path} {dep.md5[:12]}, but {maker.name} wrote {wrote[:12]}"
                yield Finding("edges", step.name, message)


def check_sources(audit: Audit, steps: Sequence[Step]) -> Iterator[Finding]:
    """What a step read and no step wrote, and the code it ran, is in the revision.

    But for params.yaml, which the lister reads whole to refuse what is wrong in it: the values that
    steps ran with are checked one by one.
    """
    outs = [PurePosixPath(path) for path in audit.graph.makers]
    folders = {str(folder) for path in outs for folder in path.parents}
    sources: dict[str, Source | None] = {}
    lister = audit.graph.steps.get(LISTER)
    for step in steps:
        read = {dep.path: dep.md5 for dep in step.deps if audit.graph.maker(dep.path) is None}
        for path, digest in {**read, **step.code}.items():
            if path not in folders and path != PARAMS:
                if path not in sources:
                    sources[path] = read_source(audit.tree, path, digest.endswith(FOLDER))
                yield from _held(step, path, digest, sources[path])
        is_listed = any(audit.graph.maker(dep.path) is lister for dep in step.deps)
        if not step.code and is_listed:
            message = "what code it ran is not known: git has its listing in no commit"
            yield Finding("code", step.name, message)


@dataclass(frozen=True)
class Source:
    """A file or folder of the revision that no step wrote."""

    path: str
    md5: str
    """Of a folder that of the list of its members, with `.dir` behind it."""
    content: bytes | None
    """None of a folder."""

    def is_named(self, digest: str) -> bool:
        """Whether dvc.lock or a listing of code names it so."""
        if digest == self.md5:
            return True
        return self.content is not None and is_listed(self.path, self.content, digest)


def read_source(tree: Tree, path: str, is_folder: bool) -> Source | None:
    """A file or folder as it is in the revision; None where there is none."""
    if is_folder:
        members = []
        for name in tree.paths(f"{path}/"):
            members.append(Member(name.removeprefix(f"{path}/"), md5_of(tree.read(name))))
        md5 = f"{md5_of(folder_list(members))}{FOLDER}"
        return Source(path, md5, None) if members else None
    try:
        content = tree.read(path)
    except (FileNotFoundError, IsADirectoryError):
        return None
    return Source(path, md5_of(content), content)


def _held(step: Step, path: str, digest: str, source: Source | None) -> Iterator[Finding]:
    if source is None:
        message = f"read {path}, which no step wrote and the revision does not have"
        yield Finding("code", step.name, message)
    elif not source.is_named(digest):
        message = f"ran with {path} {digest[:12]}, which is not what is there now"
        yield Finding("code", step.name, message)

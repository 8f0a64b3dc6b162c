"""How a policy came to be: each policy before it, and what is known of the step between.

What stands in git is known of every commit. Seconds stand in run facts beside the outputs, which
git and DVC leave out: they are known on the machine that ran the step, and missing elsewhere.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypedDict

from lineage.record.digests import sha256_of
from lineage.record.errors import AuditError
from lineage.record.flags import EXAM_STEPS, Flag
from lineage.record.graph import Graph, policy_file
from lineage.record.lock import LOCK, Step, read_lock
from lineage.record.tree import Commit, Objects, Tree, git
from lineage.record.values import Values

ENVIRONMENT = "requirements/"
JUDGE = "judge"


class RunFacts(TypedDict, total=False):
    """What a run of a step took, as it stands beside its output."""

    seconds: Mapping[str, float]
    counts: Mapping[str, int]
    packages: Mapping[str, str]
    python: str
    machine: str


@dataclass(frozen=True)
class Generation:
    """One policy, and what made it of the one before."""

    policy: str
    parent: str | None
    """The policy it was trained from; None for an init."""
    steps: Mapping[str, Step]
    """The steps of its round, or of its init, by what they do."""
    md5: str
    """What dvc.lock names the policy by."""
    commit: str | None
    """The first commit whose dvc.lock has it; None where none has."""
    recipe: Values
    """The params its steps ran with, by dotted key."""
    code: str
    """Digest of the code its steps ran."""
    environment: str
    """Digest of the pinned packages, as they were at that commit."""
    tokens: Mapping[str, int]
    """Tokens of its update, by what became of them."""
    facts: Mapping[str, RunFacts]
    """Of each step, where they are known."""
    exam: Values | None
    """Metrics of its exam, by level; None where it has none."""

    @property
    def made_by(self) -> dict[str, Step]:
        """The steps that made it; its exam did not."""
        return {name: step for name, step in self.steps.items() if name not in EXAM_STEPS}

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each step, where they are known."""
        totals = {name: facts["seconds"]["total"] for name, facts in self.facts.items()}
        return {name: round(float(total), 1) for name, total in totals.items()}

    @property
    def packages(self) -> RunFacts | None:
        """The facts of the first step that says which packages ran; None where none does."""
        return next((facts for facts in self.facts.values() if "packages" in facts), None)


def ancestry(tree: Tree, policy: str, graph: Graph | None = None) -> list[Generation]:
    """The policy and all before it, oldest first.

    Raises:
        AuditError: there is no such policy.
    """
    graph = graph or Graph.of(read_lock(tree))
    ancestors = graph.ancestors(graph.policy(policy))
    makers = [step for step in ancestors if graph.policies.get(step.key) is step]
    commits = first_commits(tree, [policy_file(step).md5 for step in makers])
    pinned = _environments(tree, {*commits.values()})
    unborn = sha256_of(requirements(tree, None).values())  # of policies no commit has yet
    generations = []
    for maker in makers:
        commit = commits.get(policy_file(maker).md5)
        environment = pinned.get(commit or "", unborn)
        generations.append(_generation(tree, graph, maker, commit, environment))
    return generations


def requirements(tree: Tree, commit: str | None) -> dict[str, bytes]:
    """The files of pinned packages at a commit; None for the tree's own."""
    at = Commit(tree.repository, commit) if commit else tree
    return {path: at.read(path) for path in at.paths(ENVIRONMENT)}


def _environments(tree: Tree, commits: Iterable[str]) -> dict[str, str]:
    """Digest of the pinned packages at each commit; those git has under one name are read once."""
    objects = Objects(tree.repository)
    names = {commit: objects.name(commit, ENVIRONMENT.rstrip("/")) for commit in commits}
    digests = {}
    for name, commit in {name: commit for commit, name in names.items()}.items():
        digests[name] = sha256_of(requirements(tree, commit).values())
    return {commit: digests[name] for commit, name in names.items()}


def first_commits(tree: Tree, md5s: Sequence[str]) -> dict[str, str]:
    """The first commit whose dvc.lock has each digest, by digest."""
    cut = _cut_off(tree)
    history = ("log", "--reverse", "--format=%H", tree.commit, "--", LOCK)
    objects = Objects(tree.repository)
    wanted = {md5: f"md5: {md5}\n".encode() for md5 in md5s}
    commits: dict[str, str] = {}
    for commit in git(tree.repository, *history).split():
        if not wanted:
            break
        try:
            content = objects.read(commit, LOCK)
        except FileNotFoundError:
            continue
        for md5 in [md5 for md5, line in wanted.items() if line in content]:
            if commit not in cut:  # where it may stand since before
                commits[md5] = commit
            del wanted[md5]
    return commits


def is_cut(tree: Tree) -> bool:
    """Whether the clone has only the last commits: the first that had a thing may be missing."""
    return bool(_cut_off(tree))


def _cut_off(tree: Tree) -> set[str]:
    """The commits of a shallow clone whose parents it lacks."""
    (file,) = git(tree.repository, "rev-parse", "--git-path", "shallow").splitlines()
    path = tree.repository / file
    return {*path.read_text(encoding="ascii").split()} if path.is_file() else set()


def parent_of(graph: Graph, maker: Step) -> str | None:
    """The policy an update began from."""
    above = graph.source(maker, Flag.POLICY) if maker.group == "update" else None
    return above.key if above else None


def run_facts(tree: Tree, step: Step) -> RunFacts | None:
    """What a run of a step took, from beside its first output that says so; None if unknown."""
    for out in step.outs if tree.root else ():
        path = PurePosixPath(out.path).with_suffix("").as_posix()
        if facts := _json(tree, f"{path}.run.json"):
            return facts
    return None


def _generation(
    tree: Tree, graph: Graph, maker: Step, commit: str | None, environment: str
) -> Generation:
    steps = {name: step for name, step in graph.of_key(maker.key).items() if name != JUDGE}
    facts = {name: run_facts(tree, step) for name, step in steps.items()}
    recipe: dict[str, Any] = {}
    code = set()
    for name, step in steps.items():
        if name not in EXAM_STEPS:
            recipe |= step.params
            code |= {*step.code.items()}
    return Generation(
        policy=maker.key,
        parent=parent_of(graph, maker),
        steps=steps,
        md5=policy_file(maker).md5,
        commit=commit,
        recipe=recipe,
        code=sha256_of(f"{path} {digest}\n".encode() for path, digest in sorted(code)),
        environment=environment,
        tokens=_metrics(tree, maker).get("tokens", {}),
        facts={name: known for name, known in facts.items() if known is not None},
        exam=_metrics(tree, steps["evaluate"]) if "evaluate" in steps else None,
    )


def _metrics(tree: Tree, step: Step) -> Mapping[str, Any]:
    file = step.written(Flag.METRICS)
    return _json(tree, file.path) if file else {}


def _json(tree: Tree, path: str) -> Any:
    """Content of a JSON file; nothing where there is none."""
    try:
        return json.loads(tree.read(path))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise AuditError(f"{path} is not JSON ({error}); `dvc repro` makes it anew") from None

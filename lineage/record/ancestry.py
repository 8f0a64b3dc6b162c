"""How a policy came to be: each policy before it, with the recipe, seeds, code, data and cost of the step between.

What stands in git is known of every commit. Seconds stand in run facts beside the outputs, which git and DVC leave out:
they are known on the machine that ran the step, and missing elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lineage.record.errors import AuditError
from lineage.record.graph import Graph, policy_file
from lineage.record.lock import LOCK, Step, read_lock
from lineage.record.tree import Commit, Objects, Tree, git

ENVIRONMENT = "requirements/"
EXAM = ("examine", "evaluate")
JUDGE = "judge"


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
    recipe: Mapping[str, Any]
    """The params its steps ran with, by dotted key."""
    code: str
    """Digest of the code its steps ran."""
    environment: str
    """Digest of the pinned packages, as they were at that commit."""
    tokens: Mapping[str, int]
    """Tokens of its update, by what became of them."""
    facts: Mapping[str, Mapping[str, Any]]
    """Seconds, counts and packages of each step, where they are known."""
    exam: Mapping[str, Any] | None
    """Metrics of its exam, by level; None where it sat none."""

    @property
    def own(self) -> dict[str, Step]:
        """The steps that made it; its exam did not."""
        return {name: step for name, step in self.steps.items() if name not in EXAM}

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each step, where they are known."""
        return {name: round(float(facts["seconds"]["total"]), 1) for name, facts in self.facts.items()}


def ancestry(tree: Tree, policy: str, graph: Graph | None = None) -> list[Generation]:
    """The policy and all before it, oldest first.

    Raises:
        AuditError: there is no such policy.
    """
    graph = graph or Graph.of(read_lock(tree))
    makers = [step for step in graph.ancestors(graph.policy(policy)) if graph.policies.get(step.key) is step]
    commits = first_commits(tree, [policy_file(step).md5 for step in makers])
    pinned = _environments(tree, {*commits.values()})
    unborn = digest(requirements(tree, None).values())  # of policies no commit has yet
    return [
        _generation(tree, graph, maker, commit, pinned.get(commit or "", unborn))
        for maker in makers
        for commit in [commits.get(policy_file(maker).md5)]
    ]


def requirements(tree: Tree, commit: str | None) -> dict[str, bytes]:
    """The files of pinned packages at a commit; None for the tree's own."""
    at = Commit(tree.repository, commit) if commit else tree
    return {path: at.read(path) for path in at.paths(ENVIRONMENT)}


def _environments(tree: Tree, commits: Iterable[str]) -> dict[str, str]:
    """Digest of the pinned packages at each commit; those that git has under one name are read once."""
    objects, found = Objects(tree.repository), {}
    names = {commit: objects.name(commit, ENVIRONMENT.rstrip("/")) for commit in commits}
    for name, commit in {name: commit for commit, name in names.items()}.items():
        found[name] = digest(requirements(tree, commit).values())
    return {commit: found[name] for commit, name in names.items()}


def first_commits(tree: Tree, md5s: Sequence[str]) -> dict[str, str]:
    """The first commit whose dvc.lock has each digest, by digest."""
    listed = git(tree.repository, "log", "--reverse", "--format=%H", tree.commit, "--", LOCK).split()
    wanted, found = {md5: f"md5: {md5}\n".encode() for md5 in md5s}, {}
    objects = Objects(tree.repository)
    for commit in listed:
        if not wanted:
            break
        try:
            content = objects.read(commit, LOCK)
        except FileNotFoundError:
            continue
        here = [md5 for md5, text in wanted.items() if text in content]
        for md5 in here:
            found[md5] = commit
            del wanted[md5]
    return found


def parent_of(graph: Graph, maker: Step) -> str | None:
    """The policy an update began from."""
    given = maker.flags.get("policy") if maker.group == "update" else None
    above = graph.maker(given) if given else None
    return above.key if above else None


def run_facts(tree: Tree, step: Step) -> Mapping[str, Any] | None:
    """What a run of the step took, from beside its first output that says so; None where it is not known here."""
    for out in step.outs if tree.root else ():
        if found := _json(tree, PurePosixPath(out.path).with_suffix("").as_posix() + ".run.json"):
            return found
    return None


def digest(parts: Any) -> str:
    """sha256 of some bytes, one after the other."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def _generation(tree: Tree, graph: Graph, maker: Step, commit: str | None, environment: str) -> Generation:
    steps = {name: step for name, step in graph.of_key(maker.key).items() if name != JUDGE}
    own = [step for name, step in steps.items() if name not in EXAM]
    code = {listed for step in own for listed in step.code.items()}
    return Generation(
        policy=maker.key,
        parent=parent_of(graph, maker),
        steps=steps,
        md5=policy_file(maker).md5,
        commit=commit,
        recipe={key: value for step in own for key, value in step.params.items()},
        code=digest(f"{path} {md5}\n".encode() for path, md5 in sorted(code)),
        environment=environment,
        tokens=_metrics(tree, maker, "metrics").get("tokens", {}),
        facts={name: facts for name, step in steps.items() if (facts := run_facts(tree, step)) is not None},
        exam=_metrics(tree, steps["evaluate"], "metrics") if "evaluate" in steps else None,
    )


def _metrics(tree: Tree, step: Step, flag: str) -> Mapping[str, Any]:
    file = step.written(flag)
    return _json(tree, file.path) if file else {}


def _json(tree: Tree, path: str) -> Mapping[str, Any]:
    """Content of a JSON file; nothing where there is none."""
    try:
        return json.loads(tree.read(path))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise AuditError(f"{path} is not JSON ({error}); `dvc repro` makes it anew") from None

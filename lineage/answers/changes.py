"""What two policies differ by in git and dvc.lock: params, code, packages."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from operator import attrgetter
from typing import TypeVar

from lineage.record.ancestry import JUDGE, Generation, requirements
from lineage.record.audit import Audit
from lineage.record.code_digest import is_listed
from lineage.record.flags import Flag
from lineage.record.lock import Step
from lineage.record.tree import Objects, Tree, git
from lineage.record.values import Value, Values, leaves

PIN = re.compile(r"(?P<package>[A-Za-z0-9._-]+(\[[^\]]*\])?)\s*(==|@)\s*(?P<version>\S+)")
PLACES = {"rounds": "round", "inits": "init", "recipes": "recipe", "judges": "judge"}
"""Sections of params.yaml whose entries have names: policies differ by what an entry holds."""
NUMSTAT = re.compile(r"(?P<added>\d+|-)\t(?P<removed>\d+|-)\t(?P<path>.+)")

Pair = tuple[Generation, Generation]
Name = TypeVar("Name", str, tuple[str, str])


@dataclass(frozen=True)
class ParamDifference:
    """A value that differs, and the generations of either chain that it differs at."""

    key: str
    before: Value
    after: Value
    at: list[tuple[str, str]]


@dataclass(frozen=True)
class CodeFile:
    """A file of code that both sides ran and that differs."""

    path: str
    before: list[str]
    """Its digests: several where steps ran it at different times."""
    after: list[str]
    steps: list[str]
    added: int | None
    """Lines; None where git does not have both sides."""
    removed: int | None


@dataclass(frozen=True)
class CodeDifference:
    """The code that two policies were made by."""

    files: list[CodeFile]
    num_same: int
    only_before: list[str]
    only_after: list[str]
    commits: list[str | None]
    total: str | None
    """git's sum over all files; None where a side is in no commit."""


@dataclass(frozen=True)
class PinnedDifference:
    """A package that is pinned otherwise."""

    file: str
    package: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class RanDifference:
    """A package, Python or machine that was another as the steps ran."""

    package: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class EnvironmentDifference:
    """Packages: as pinned when the policies were made, and as they ran."""

    pinned: list[PinnedDifference]
    ran: list[RanDifference] | None
    """None where the run facts of a side are not here."""
    unknown: list[str]
    """Policies whose run facts are not here."""


def chain(generations: Sequence[Generation]) -> list[Generation]:
    """The last of the generations and its parents, oldest first; judges and references are not."""
    named = {generation.policy: generation for generation in generations}
    line = [generations[-1]]
    while (parent := line[-1].parent) in named:
        line.append(named[str(parent)])
    return line[::-1]


def pairs(before: Sequence[Generation], after: Sequence[Generation]) -> list[Pair]:
    """Generations of two chains by their place; those of the longer beside the shorter's last."""
    placed = zip_longest(before, after)
    return [(earlier or before[-1], later or after[-1]) for earlier, later in placed]


def params(
    first: Audit, second: Audit, before: Sequence[Generation], after: Sequence[Generation]
) -> list[ParamDifference]:
    """Params of two chains that differ, by dotted key."""
    places = _places(before), _places(after)
    differing: dict[tuple[str, str, str], ParamDifference] = {}
    for earlier, later in pairs(before, after):
        if ("update" in earlier.steps) != ("update" in later.steps):
            continue  # an init beside a round: they have no params in common
        then, now = _flat(first, earlier), _flat(second, later)
        for key in dict.fromkeys([*then, *now]):
            old, new = then.get(key), now.get(key)
            is_same_place = _is_same_place(key, places[0].get(str(old)), places[1].get(str(new)))
            if old != new and not is_same_place:
                entry = ParamDifference(key, old, new, [])
                entry = differing.setdefault((key, repr(old), repr(new)), entry)
                entry.at.append((earlier.policy, later.policy))
    return sorted(differing.values(), key=attrgetter("key"))


def _places(generations: Sequence[Generation]) -> dict[str, int]:
    return {generation.policy: place for place, generation in enumerate(generations)}


def _is_same_place(key: str, before: int | None, after: int | None) -> bool:
    """Whether a policy that two rounds name is the same one of either chain, such as its parent."""
    if key == "round.parent":
        return True
    return key == "round.reference" and before is not None and before == after


def _flat(audit: Audit, generation: Generation) -> dict[str, Value]:
    """Params of a generation and of the judge that rewarded it, without their entries' names."""
    score = generation.steps.get("score")
    judge = audit.graph.source(score, Flag.JUDGE) if score else None
    judging: Values = judge.params if judge and judge.group == JUDGE else {}
    flat: dict[str, Value] = {}
    for key, content in {**generation.recipe, **judging}.items():
        head, _, rest = key.partition(".")
        name = ".".join([PLACES[head], *rest.split(".")[1:]]) if head in PLACES else key
        flat |= {".".join(path): value for path, value in leaves(content, (name,))}
    return flat


def code(
    before: Sequence[Step], after: Sequence[Step], tree: Tree, commits: Sequence[str | None]
) -> CodeDifference:
    """Files that both ran and that differ, and files that only one side ran."""
    then, now = _files(before), _files(after)
    contents = _Contents(tree, commits)
    changed = []
    for path in sorted(then.keys() & now.keys()):
        if then[path] != now[path] and not contents.is_same(path, then[path] | now[path]):
            changed.append(path)
    ran = defaultdict(set)
    for step in (*before, *after):
        for path in step.code:
            ran[path].add(step.group)
    lines, total = _lines(tree, commits, changed)
    files = []
    for path in changed:
        digests = sorted(then[path]), sorted(now[path])
        files.append(CodeFile(path, *digests, sorted(ran[path]), *lines.get(path, (None, None))))
    return CodeDifference(
        files=files,
        num_same=len(then.keys() & now.keys()) - len(changed),
        only_before=sorted(then.keys() - now.keys()),
        only_after=sorted(now.keys() - then.keys()),
        commits=list(commits),
        total=total,
    )


class _Contents:
    """Files as they were at the commits of two policies."""

    def __init__(self, tree: Tree, commits: Sequence[str | None]) -> None:
        self._commits = [commit for commit in commits if commit is not None]
        self._objects = Objects(tree.repository)

    def is_same(self, path: str, digests: set[str]) -> bool:
        """Whether digests that differ are of one file: older listings name it by its bytes."""
        for commit in self._commits:
            try:
                content = self._objects.read(commit, path)
            except FileNotFoundError:
                continue
            if all(is_listed(path, content, digest) for digest in digests):
                return True
        return False


def _files(steps: Iterable[Step]) -> dict[str, set[str]]:
    """Digests of each file of code; more than one where steps ran it at different times."""
    files: dict[str, set[str]] = {}
    for step in steps:
        for path, digest in step.code.items():
            files.setdefault(path, set()).add(digest)
    return files


def _lines(
    tree: Tree, commits: Sequence[str | None], paths: Sequence[str]
) -> tuple[dict[str, tuple[int | None, int | None]], str | None]:
    """Lines added and removed of each file between two commits, and git's sum over all files."""
    earlier, later = commits
    if earlier is None or later is None:
        return {}, None
    if earlier == later:
        return {}, "both of one commit"
    total = git(tree.repository, "diff", "--shortstat", earlier, later).strip()
    options = ("--numstat", "--no-renames", earlier, later)
    listed = git(tree.repository, "diff", *options, "--", *paths) if paths else ""
    lines = {}
    for match in filter(None, map(NUMSTAT.fullmatch, listed.splitlines())):
        lines[match["path"]] = _number(match["added"]), _number(match["removed"])
    return lines, total or "no file changed between the two commits"


def _number(lines: str) -> int | None:
    return int(lines) if lines != "-" else None


def environment(before: Audit, after: Audit, last: Pair) -> EnvironmentDifference:
    """Packages that differ between two policies."""
    pins, ran, unknown = [], [], []
    for audit, side in zip((before, after), last, strict=True):
        pins.append(_pins(requirements(audit.tree, side.commit)))
        ran.append(_ran(side))
        if not ran[-1]:
            unknown.append(side.policy)
    pinned = []
    for (path, package), then, now in _changed(*pins):
        pinned.append(PinnedDifference(path, package, then, now))
    differing = None if unknown else [RanDifference(*change) for change in _changed(*ran)]
    return EnvironmentDifference(pinned, differing, unknown)


def _pins(files: Mapping[str, bytes]) -> dict[tuple[str, str], str]:
    """Versions by file and package."""
    pins = {}
    for path, content in files.items():
        for line in content.decode("utf-8").splitlines():
            if match := PIN.match(line):
                pins[path, match["package"].lower()] = match["version"]
    return pins


def _ran(generation: Generation) -> dict[str, str]:
    facts = generation.packages
    if facts is None:
        return {}
    return {"python": facts["python"], "machine": facts["machine"], **facts["packages"]}


def _changed(
    before: Mapping[Name, str], after: Mapping[Name, str]
) -> Iterator[tuple[Name, str | None, str | None]]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield name, before.get(name), after.get(name)

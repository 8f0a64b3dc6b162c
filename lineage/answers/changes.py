"""What two policies differ by in git and dvc.lock: params, code, packages."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from operator import itemgetter
from typing import Any

from lineage.record.ancestry import JUDGE, Generation, requirements
from lineage.record.audit import Audit
from lineage.record.lock import Step
from lineage.record.tree import Tree, git

PIN = re.compile(r"(?P<package>[A-Za-z0-9._-]+(\[[^\]]*\])?)\s*(==|@)\s*(?P<version>\S+)")
PLACES = {"rounds": "round", "inits": "init", "recipes": "recipe", "judges": "judge"}
"""Sections of params.yaml whose entries have names: two policies differ by what an entry says, not by its name."""
NUMSTAT = re.compile(r"(?P<added>\d+|-)\t(?P<removed>\d+|-)\t(?P<path>.+)")

Pair = tuple[Generation, Generation]


def chain(generations: Sequence[Generation]) -> list[Generation]:
    """The last of the generations and its parents, oldest first; what only judged them or held them is left out."""
    named, found = {generation.policy: generation for generation in generations}, [generations[-1]]
    while (parent := found[-1].parent) in named:
        found.append(named[str(parent)])
    return found[::-1]


def pairs(before: Sequence[Generation], after: Sequence[Generation]) -> list[Pair]:
    """Generations of two chains by their place; those of the longer one beside the last of the shorter."""
    return [(earlier or before[-1], later or after[-1]) for earlier, later in zip_longest(before, after)]


def params(
    first: Audit, second: Audit, before: Sequence[Generation], after: Sequence[Generation]
) -> list[dict[str, Any]]:
    """Params of two chains that differ, by dotted key, and the generations they differ at."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    places = [{side.policy: place for place, side in enumerate(sides)} for sides in (before, after)]
    for earlier, later in pairs(before, after):
        if ("update" in earlier.steps) != ("update" in later.steps):
            continue  # an init beside a round: they have no params in common
        then, now = _flat(first, earlier), _flat(second, later)
        for key in [*then, *(key for key in now if key not in then)]:
            old, new = then.get(key), now.get(key)
            if old != new and not _is_same_place(key, places[0].get(str(old)), places[1].get(str(new))):
                entry: dict[str, Any] = {"key": key, "before": old, "after": new, "at": []}
                found.setdefault((key, repr(old), repr(new)), entry)["at"].append([earlier.policy, later.policy])
    return sorted(found.values(), key=itemgetter("key"))


def _is_same_place(key: str, before: int | None, after: int | None) -> bool:
    """Whether a policy that two rounds name is the same one of either chain: its own parent, whatever it is called."""
    return key == "round.parent" or (key == "round.reference" and before is not None and before == after)


def _flat(audit: Audit, generation: Generation) -> dict[str, Any]:
    """Params of a generation and of the judge that rewarded it, without the names of their entries."""
    score = generation.steps.get("score")
    judge = audit.graph.maker(score.flags.get(JUDGE, "")) if score else None
    judging = judge.params if judge and judge.group == JUDGE else {}
    found: dict[str, Any] = {}
    for key, content in {**generation.recipe, **judging}.items():
        section, _, rest = key.partition(".")
        name = ".".join([PLACES[section], *rest.split(".")[1:]]) if section in PLACES else key
        found.update(leaves(name, content))
    return found


def leaves(key: str, content: Any) -> Iterator[tuple[str, Any]]:
    """The values of a section of params, by dotted key."""
    if not isinstance(content, Mapping):
        yield key, content
        return
    for name, inner in content.items():
        yield from leaves(f"{key}.{name}", inner)


def code(before: Sequence[Step], after: Sequence[Step], tree: Tree, commits: Sequence[str | None]) -> dict[str, Any]:
    """Files that both ran with other bytes, by how many lines where git has both sides; and files only one side ran."""
    then, now = _files(before), _files(after)
    changed = sorted(path for path in then.keys() & now.keys() if then[path] != now[path])
    ran = defaultdict(set)
    for step in (*before, *after):
        for path in step.code:
            ran[path].add(step.group)
    lines, total = _lines(tree, commits, changed)
    return {
        "files": [
            {
                "path": path,
                "before": sorted(then[path]),
                "after": sorted(now[path]),
                "steps": sorted(ran[path]),
                **lines.get(path, {"added": None, "removed": None}),
            }
            for path in changed
        ],
        "num_same": len(then.keys() & now.keys()) - len(changed),
        "only_before": sorted(then.keys() - now.keys()),
        "only_after": sorted(now.keys() - then.keys()),
        "commits": list(commits),
        "total": total,
    }


def _files(steps: Iterable[Step]) -> dict[str, set[str]]:
    """Digests of each file of code; more than one where steps ran it at different times."""
    found: dict[str, set[str]] = {}
    for step in steps:
        for path, md5 in step.code.items():
            found.setdefault(path, set()).add(md5)
    return found


def _lines(
    tree: Tree, commits: Sequence[str | None], paths: Sequence[str]
) -> tuple[dict[str, dict[str, int | None]], str | None]:
    """Lines added and removed of each file between two commits, and git's sum over all files; None where one is not."""
    earlier, later = commits
    if earlier is None or later is None:
        return {}, None
    if earlier == later:
        return {}, "both of one commit"
    total = (
        git(tree.repository, "diff", "--shortstat", earlier, later).strip() or "no file changed between the two commits"
    )
    listed = git(tree.repository, "diff", "--numstat", "--no-renames", earlier, later, "--", *paths) if paths else ""
    found = {}
    for match in map(NUMSTAT.fullmatch, listed.splitlines()):
        if match:
            added, removed = (int(match[side]) if match[side] != "-" else None for side in ("added", "removed"))
            found[match["path"]] = {"added": added, "removed": removed}
    return found, total


def environment(before: Audit, after: Audit, last: Pair) -> dict[str, Any]:
    """Packages that differ: as pinned when the policies were made, and as they ran where run facts are at hand."""
    earlier, later = last
    pinned = [_pins(requirements(audit.tree, side.commit)) for audit, side in zip((before, after), last, strict=True)]
    ran = [_ran(earlier), _ran(later)]
    return {
        "pinned": [{"file": file, "package": package, **versions} for (file, package), versions in _changed(*pinned)],
        "ran": [{"package": package, **versions} for package, versions in _changed(*ran)] if all(ran) else None,
        "unknown": [side.policy for side, packages in zip(last, ran, strict=True) if not packages],
    }


def _pins(files: Mapping[str, bytes]) -> dict[Any, str]:
    found = {}
    for path, content in files.items():
        for line in content.decode("utf-8").splitlines():
            if match := PIN.match(line):
                found[path, match["package"].lower()] = match["version"]
    return found


def _ran(generation: Generation) -> dict[Any, str]:
    facts = next((facts for facts in generation.facts.values() if "packages" in facts), None)
    return {"python": facts["python"], "machine": facts["machine"], **facts["packages"]} if facts else {}


def _changed(before: Mapping[Any, str], after: Mapping[Any, str]) -> Iterator[tuple[Any, dict[str, str | None]]]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield name, {"before": before.get(name), "after": after.get(name)}

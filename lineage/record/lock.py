"""dvc.lock as steps: what each ran, on which bytes, with which params, and what came out."""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache, partial
from itertools import pairwise
from typing import Any

import yaml

from lineage.record.errors import AuditError
from lineage.record.listings import read_listing
from lineage.record.tree import Tree

LOCK = "dvc.lock"
LISTER = "code"
"""The step that lists the code of all others."""
FOLDER = ".dir"
"""What the digest of a folder ends in."""
CODE_SUFFIXES = (".py", ".json", ".j2")


class Loader(yaml.CSafeLoader):
    """Numbers as YAML 1.2 has them, which is what DVC reads and writes: to YAML 1.1 `1e-05` is a text.

    The C loader is ten times as fast as the other.
    """


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$"), list("-+.0123456789")
)


@dataclass(frozen=True)
class File:
    """A file or folder a step read or wrote. The digest of a folder is that of its list of members."""

    path: str
    md5: str
    """Of a folder with `.dir` behind it."""
    size: int

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.md5.endswith(FOLDER)


@dataclass(frozen=True)
class Step:
    """One stage that ran. `group` and `key` are the parts of its name: `update@i3`."""

    name: str
    command: str
    deps: tuple[File, ...]
    outs: tuple[File, ...]
    params: Mapping[str, Any]
    """Of params.yaml, by dotted key, as they were when it ran."""
    code: Mapping[str, str] = field(default_factory=dict)
    """The files of code it ran, each with its md5, by its listing. Before there were listings it depended on each."""

    @property
    def group(self) -> str:
        """What it does: the part of the name before `@`."""
        return self.name.partition("@")[0]

    @property
    def key(self) -> str:
        """What it does it for: the part behind `@`."""
        return self.name.partition("@")[2]

    @cached_property
    def flags(self) -> dict[str, str]:
        """Its command's arguments: `--next-policy data/policies/i3` as `{"next_policy": "data/policies/i3"}`."""
        words = shlex.split(self.command)
        pairs = pairwise(words)
        return {word[2:].replace("-", "_"): value for word, value in pairs if word.startswith("--")}

    def written(self, flag: str) -> File | None:
        """The output given by a flag; None where the flag is missing or names no output."""
        path = self.flags.get(flag)
        return next((out for out in self.outs if out.path == path), None)


def read_lock(tree: Tree) -> dict[str, Step]:
    """The steps of dvc.lock by name, in its order.

    Raises:
        AuditError: there is no lock file, or it is not one.
    """
    try:
        steps = _steps(tree.read(LOCK))
    except FileNotFoundError:
        raise AuditError(f"{LOCK} is missing at {tree.commit[:12]}; `dvc repro` makes it") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise AuditError(f"{LOCK} at {tree.commit[:12]} is not a lock file of DVC: {error!r}") from None
    lister = steps.get(LISTER)
    listings = {out.path for out in lister.outs} if lister else set()
    read = cache(partial(read_listing, tree))  # the steps of a kind share one
    return {name: replace(step, code={**step.code, **_listed(step, listings, read)}) for name, step in steps.items()}


def _listed(step: Step, listings: Set[str], read: Callable[[str, str], Mapping[str, str]]) -> dict[str, str]:
    return {path: md5 for dep in step.deps if dep.path in listings for path, md5 in read(dep.path, dep.md5).items()}


@lru_cache
def _steps(lock: bytes) -> dict[str, Step]:
    """Kept, as half the seconds of an answer about two policies of one commit went into reading it twice."""
    content = yaml.load(lock, Loader=Loader)  # noqa: S506 (a SafeLoader)
    return {name: _step(name, entry) for name, entry in content["stages"].items()}


def _step(name: str, entry: Mapping[str, Any]) -> Step:
    params = {key: value for file in entry.get("params", {}).values() for key, value in file.items()}
    deps = _files(entry.get("deps", ()))
    code = {dep.path: dep.md5 for dep in deps if dep.path.startswith("stages/") and dep.path.endswith(CODE_SUFFIXES)}
    return Step(name, entry["cmd"], deps, _files(entry.get("outs", ())), params, code)


def _files(entries: Iterable[Mapping[str, Any]]) -> tuple[File, ...]:
    """Without repeats: a folder that a command names twice is listed twice."""
    return tuple(dict.fromkeys(File(entry["path"], entry["md5"], int(entry["size"])) for entry in entries))

"""dvc.lock as steps: what each ran, on which bytes, with which params, and what came out."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache, partial
from itertools import pairwise
from typing import TypedDict

from lineage.record.errors import AuditError
from lineage.record.flags import Flag
from lineage.record.listings import read_listing
from lineage.record.tree import Tree
from lineage.record.values import Values
from lineage.record.yaml_text import parsed, place

LOCK = "dvc.lock"
LISTER = "code"
"""The step that lists the code of all others."""
FOLDER = ".dir"
"""What the digest of a folder ends in."""
CODE_SUFFIXES = (".py", ".json", ".j2")


@dataclass(frozen=True)
class FileVersion:
    """A file or folder, by path and digest."""

    path: str
    md5: str


@dataclass(frozen=True)
class File:
    """A file or folder a step read or wrote. A folder has the digest of its members' list."""

    path: str
    md5: str
    """Of a folder with `.dir` behind it."""
    size: int

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.md5.endswith(FOLDER)

    @property
    def version(self) -> FileVersion:
        """Its path and digest."""
        return FileVersion(self.path, self.md5)


@dataclass(frozen=True)
class Step:
    """One stage that ran. `group` and `key` are the parts of its name: `update@i3`."""

    name: str
    command: str
    deps: tuple[File, ...]
    outs: tuple[File, ...]
    params: Values
    """Of params.yaml, by dotted key, as they were when it ran."""
    code: Mapping[str, str] = field(default_factory=dict)
    """The files of code it ran, each with its digest.

    They are those of its listing; before there were listings it depended on each.
    """

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
        """Its command's arguments: `--next-policy data/a` as `{"next_policy": "data/a"}`."""
        flags = {}
        for word, argument in pairwise(shlex.split(self.command)):
            if word.startswith("--"):
                flags[word[2:].replace("-", "_")] = argument
        return flags

    def written(self, flag: Flag) -> File | None:
        """The output given by a flag; None where the flag is missing or names no output."""
        path = self.flags.get(flag)
        return next((out for out in self.outs if out.path == path), None)

    def read(self, flag: Flag) -> File | None:
        """The input given by a flag; None where the flag is missing or names no input."""
        path = self.flags.get(flag)
        return next((dep for dep in self.deps if dep.path == path), None)

    def output(self, flag: Flag) -> File:
        """The output given by a flag.

        Raises:
            AuditError: the flag is missing or names no output.
        """
        file = self.written(flag)
        if file is None:
            raise AuditError(
                f"dvc.lock: step {self.name} names no {flag} among its outputs; "
                f"`dvc repro {self.name}`"
            )
        return file

    def input(self, flag: Flag) -> File:
        """The input given by a flag.

        Raises:
            AuditError: the flag is missing or names no input.
        """
        file = self.read(flag)
        if file is None:
            raise AuditError(
                f"dvc.lock: step {self.name} names no {flag} among its inputs, so what it read is "
                f"not known; `dvc repro {self.name}` makes the entry anew"
            )
        return file


class _FileEntry(TypedDict):
    path: str
    md5: str
    size: int


class _StepEntry(TypedDict, total=False):
    cmd: str
    deps: list[_FileEntry]
    outs: list[_FileEntry]
    params: dict[str, dict[str, Values]]


def read_lock(tree: Tree) -> dict[str, Step]:
    """The steps of dvc.lock by name, in its order.

    Raises:
        AuditError: there is no lock file, or it is not one.
    """
    try:
        steps = _steps(tree.read(LOCK), place(tree, LOCK))
    except FileNotFoundError:
        raise AuditError(f"{LOCK} is missing at {tree.commit[:12]}; `dvc repro` makes it") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AuditError(f"{place(tree, LOCK)} is not a lock file of DVC: {error!r}") from None
    lister = steps.get(LISTER)
    listings = {out.path for out in lister.outs} if lister else set()
    read = cache(partial(read_listing, tree))  # the steps of a kind share one
    return {name: _with_code(step, listings, read) for name, step in steps.items()}


def _with_code(
    step: Step, listings: Set[str], read: Callable[[str, str], Mapping[str, str]]
) -> Step:
    code = dict(step.code)
    for dep in step.deps:
        if dep.path in listings:
            code |= read(dep.path, dep.md5)
    return replace(step, code=code)


@lru_cache
def _steps(lock: bytes, where: str) -> dict[str, Step]:
    """Kept: half the time of an answer about two policies went into reading it twice."""
    content = parsed(lock, where)
    return {name: _step(name, entry) for name, entry in content["stages"].items()}


def _step(name: str, entry: _StepEntry) -> Step:
    params: dict[str, Values] = {}
    for of_file in entry.get("params", {}).values():
        params |= of_file
    deps, code = _files(entry.get("deps", ())), {}
    for dep in deps:
        if dep.path.startswith("stages/") and dep.path.endswith(CODE_SUFFIXES):
            code[dep.path] = dep.md5
    return Step(name, entry["cmd"], deps, _files(entry.get("outs", ())), params, code)


def _files(entries: Iterable[_FileEntry]) -> tuple[File, ...]:
    """Without repeats: a folder that a command names twice is listed twice."""
    files = (File(entry["path"], entry["md5"], int(entry["size"])) for entry in entries)
    return tuple(dict.fromkeys(files))

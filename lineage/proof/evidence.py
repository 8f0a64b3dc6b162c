"""The bytes themselves: every output of some steps, hashed anew wherever it lies.

DVC trusts size and mtime, so it misses an edit that keeps both. Here every byte is read.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO

from fsspec.implementations.local import LocalFileSystem
from tqdm import tqdm

from lineage.record.audit import Audit
from lineage.record.errors import Finding
from lineage.record.lock import File, Step
from lineage.record.store import Digests, Member, Place, digests, folder_list, folder_members
from lineage.record.tree import Tree
from lineage.telling.words import counted

WORKTREE = "working tree"
CACHE = "cache"
SHOWN = 12  # digits of a digest in a message


@dataclass(frozen=True)
class Part:
    """One file of an output, or the list of the files of a folder."""

    path: str
    md5: str
    """As dvc.lock has it: of a list with `.dir` behind it."""
    is_list: bool = False
    in_git: bool = False
    """Kept by git, not by DVC's cache: metrics."""


@dataclass(frozen=True)
class Copy:
    """One copy of it."""

    path: str
    place: str
    open: Callable[[], IO[bytes]]
    bytes_id: object
    """Equal for copies that are the same bytes on disk: hard links are read once."""


@dataclass
class Evidence:
    """What was found."""

    parts: dict[str, Part] = field(default_factory=dict)
    """By path."""
    digests: dict[str, Digests] = field(default_factory=dict)
    """Of bytes that are right, by the md5 that dvc.lock has."""
    openers: dict[str, Callable[[], IO[bytes]]] = field(default_factory=dict)
    """Opens right bytes, by the same."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    num_files: int = 0
    num_bytes: int = 0

    def find(self, check: str, subject: str, message: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(check, subject, message))

    def keep(self, md5: str, found: Digests, opener: Callable[[], IO[bytes]]) -> None:
        """Remember where right bytes lie."""
        self.digests.setdefault(md5, found)
        self.openers.setdefault(md5, opener)

    def files(self, out: File) -> list[Part]:
        """The files an output is made of, as far as its list is known."""
        within = f"{out.path}/"
        return [part for path, part in self.parts.items() if path == out.path or path.startswith(within)]

    def open(self, path: str) -> IO[bytes] | None:
        """A file's bytes, from wherever they are right; None where they are nowhere."""
        part = self.parts.get(path)
        opener = self.openers.get(part.md5) if part else None
        return opener() if opener else None


def gather(audit: Audit, steps: Sequence[Step]) -> Evidence:
    """Hash every output of the steps, in git, working tree, cache and remotes."""
    evidence = Evidence()
    in_git = {*audit.tree.paths()}
    places = [place for place in audit.store.places if _is_reachable(place, evidence)]
    for step in steps:
        for out in step.outs:
            if out.path in in_git:
                _take_from_git(audit.tree, step, out, evidence)
            elif out.is_folder:
                _take_folder(audit.tree, places, out, evidence)
            else:
                evidence.parts[out.path] = Part(out.path, out.md5)
    cached = [part for part in evidence.parts.values() if not part.in_git]
    states = _hash([copy for part in cached for copy in _copies(audit.tree, places, part)], evidence)
    for part in cached:
        _hold(part, states[part.path], evidence)
    _account_for_missing(cached, states, evidence)
    _compare_sizes(steps, evidence)
    return evidence


def _is_reachable(place: Place, evidence: Evidence) -> bool:
    try:
        if place.filesystem.exists(place.path):
            return True
        why = f"{place.path} is not there"
    except Exception as error:  # each file system has errors of its own
        why = str(error) or type(error).__name__
    evidence.notes.append(f"{place.name} was not checked: {why}")
    return False


def _take_from_git(tree: Tree, step: Step, out: File, evidence: Evidence) -> None:
    """A file that git keeps and no cache has: metrics."""
    content = tree.read(out.path)
    found = digests(BytesIO(content))
    evidence.num_files, evidence.num_bytes = evidence.num_files + 1, evidence.num_bytes + found.size
    evidence.parts[out.path] = Part(out.path, out.md5, in_git=True)
    if found.md5 == out.md5:
        evidence.keep(out.md5, found, partial(BytesIO, content))
    else:
        evidence.find("metrics", out.path, f"is not what {step.name} wrote: {_against(found.md5, out.md5)}")


def _take_folder(tree: Tree, places: Sequence[Place], out: File, evidence: Evidence) -> None:
    """Its files by the first right list of them; a list is bytes to check like any other."""
    evidence.parts[f"{out.path} (list)"] = Part(f"{out.path} (list)", out.md5, is_list=True)
    members = next(filter(None, (_listed(place, out) for place in places)), None)
    if members is None and tree.root is not None and (on_disk := folder_members(tree, out.path)) is not None:
        content = folder_list(on_disk)
        if _md5(content) == out.md5.removesuffix(".dir"):
            members = on_disk
            evidence.keep(out.md5, digests(BytesIO(content)), partial(BytesIO, content))
    if members is None:
        return
    for member in members:
        evidence.parts[f"{out.path}/{member.name}"] = Part(f"{out.path}/{member.name}", member.md5)
    for path in sorted((tree.root / out.path).rglob("*")) if tree.root else ():
        name = path.relative_to(tree.root).as_posix() if tree.root else ""
        if name not in evidence.parts and not path.is_dir():
            evidence.find(WORKTREE, name, "is no file that the step wrote; remove it")


def _listed(place: Place, out: File) -> list[Member] | None:
    try:
        return place.listed(out.md5)
    except OSError:
        return None


def _copies(tree: Tree, places: Sequence[Place], part: Part) -> Iterator[Copy]:
    if tree.root is not None and not part.is_list:
        path = tree.root / part.path
        yield Copy(part.path, WORKTREE, partial(_open, path), _on_disk(path))
    for place in places:
        is_local = isinstance(place.filesystem, LocalFileSystem)
        bytes_id = _on_disk(Path(place.object(part.md5))) if is_local else (place.name, part.md5)
        yield Copy(part.path, place.name, partial(place.open, part.md5), bytes_id)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _on_disk(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return path
    return found.st_dev, found.st_ino


State = Digests | str | None
"""What hashing a copy came to: digests, an error, or None where there is no copy."""


def _hash(copies: Sequence[Copy], evidence: Evidence) -> dict[str, dict[str, State]]:
    """The state of each copy, by path and place. Right bytes are remembered."""
    distinct = {copy.bytes_id: copy for copy in copies}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = pool.map(_read, distinct.values())
        shown = tqdm(read, "hashing", len(distinct), unit="file", leave=False, disable=None)
        found = dict(zip(distinct, shown, strict=True))
    states: dict[str, dict[str, State]] = defaultdict(dict)
    for copy in copies:
        state = states[copy.path][copy.place] = found[copy.bytes_id]
        md5 = evidence.parts[copy.path].md5
        if isinstance(state, Digests) and state.md5 == md5.removesuffix(".dir"):
            evidence.keep(md5, state, copy.open)
    hashed = [state for state in found.values() if isinstance(state, Digests)]
    evidence.num_files += len(hashed)
    evidence.num_bytes += sum(state.size for state in hashed)
    return states


def _read(copy: Copy) -> State:
    try:
        with copy.open() as stream:
            return digests(stream)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # each file system has errors of its own
        return str(error) or type(error).__name__


def _hold(part: Part, states: Mapping[str, State], evidence: Evidence) -> None:
    """Hold the copies that there are against the digest."""
    wanted = part.md5.removesuffix(".dir")
    for place, state in states.items():
        check = _check(place)
        if isinstance(state, str):
            evidence.find(check, part.path, f"cannot be read in {place}: {state}")
        elif state is not None and state.md5 != wanted:
            evidence.find(check, part.path, f"was changed in {place}: {_against(state.md5, wanted)}")
    right = {state.sha256 for state in states.values() if isinstance(state, Digests) and state.md5 == wanted}
    if len(right) > 1:
        evidence.find("collision", part.path, "two files with the md5 of dvc.lock differ: one was made to deceive")
    if part.md5 not in evidence.openers:
        evidence.find("bytes", part.path, f"the bytes {wanted[:SHOWN]} of dvc.lock are nowhere; `dvc repro` makes them")


def _account_for_missing(parts: Sequence[Part], states: Mapping[str, Mapping[str, State]], evidence: Evidence) -> None:
    """A copy that should be there is a finding; what was never checked out, pulled or pushed is a note."""
    places = list(dict.fromkeys(place for found in states.values() for place in found))
    held = {(part.path, place) for part in parts for place in places if states[part.path].get(place) is not None}
    for place in places:
        due = [part.path for part in parts if place in states[part.path]]
        missing = [path for path in due if (path, place) not in held]
        if len(missing) == len(due):
            evidence.notes.append(f"{place} holds nothing of this policy")
            continue
        unexplained = [path for path in missing if _is_unexplained(path, place, held)]
        for path in unexplained:
            evidence.find(_check(place), path, f"is gone from {place}")
        if num := len(missing) - len(unexplained):
            evidence.notes.append(f"{place} lacks {counted(num, 'file')}, the first {missing[0]}")


def _is_unexplained(path: str, place: str, held: set[tuple[str, str]]) -> bool:
    """Whether a copy must have been taken away.

    DVC checks out of the cache, and pushes a folder's list after its files; a pull of some outputs leaves both without
    the others, and a push may be behind.
    """
    if place == WORKTREE:
        return (path, CACHE) in held
    if place == CACHE:
        return (path, WORKTREE) in held
    return any((f"{path[:end]} (list)", place) in held for end in _slashes(path))


def _slashes(path: str) -> list[int]:
    return [place for place, letter in enumerate(path) if letter == "/"]


def _check(place: str) -> str:
    return "remote" if place.startswith("remote ") else place


def _compare_sizes(steps: Sequence[Step], evidence: Evidence) -> None:
    for step in steps:
        for out in step.outs:
            sizes = [found.size for part in evidence.files(out) if (found := evidence.digests.get(part.md5))]
            if sizes and len(sizes) == len(evidence.files(out)) and sum(sizes) != out.size:
                evidence.find("lock", out.path, f"{step.name} wrote {sum(sizes)} bytes; dvc.lock says {out.size}")


def _against(found: str, wanted: str) -> str:
    return f"md5 {found[:SHOWN]}, dvc.lock has {wanted[:SHOWN]}"


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()

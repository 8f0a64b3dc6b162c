"""Copies of files, in the working tree, the cache and remotes, each hashed anew.

DVC trusts size and mtime, so it misses an edit that keeps both. Here every byte is read.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from fsspec.implementations.local import LocalFileSystem
from tqdm import tqdm

from lineage.proof.evidence import Evidence, OutputFile
from lineage.record.digests import Digests, digests_of
from lineage.record.lock import FOLDER
from lineage.record.store import Place
from lineage.record.tree import Tree

WORKTREE = "working tree"


@dataclass(frozen=True)
class Copy:
    """One copy of a file."""

    path: str
    place: str
    open: Callable[[], IO[bytes]]
    bytes_id: object
    """Equal for copies that are the same bytes on disk: hard links are read once."""


State = Digests | str | None
"""What hashing a copy came to: digests, an error, or None where there is no copy."""


def hash_copies(
    tree: Tree, places: Sequence[Place], files: Iterable[OutputFile], evidence: Evidence
) -> dict[str, dict[str, State]]:
    """The state of each copy of some files, by path and place. Right bytes are remembered."""
    copies = [copy for file in files for copy in _copies(tree, places, file)]
    distinct = {copy.bytes_id: copy for copy in copies}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = pool.map(_read, distinct.values())
        watched = tqdm(read, "hashing", len(distinct), unit="file", leave=False, disable=None)
        by_bytes = dict(zip(distinct, watched, strict=True))
    states: dict[str, dict[str, State]] = defaultdict(dict)
    for copy in copies:
        state = states[copy.path][copy.place] = by_bytes[copy.bytes_id]
        md5 = evidence.files[copy.path].md5
        if isinstance(state, Digests) and state.md5 == md5.removesuffix(FOLDER):
            evidence.keep(md5, state, copy.open)
    for state in by_bytes.values():
        if isinstance(state, Digests):
            evidence.num_files += 1
            evidence.num_bytes += state.size
    return states


def _copies(tree: Tree, places: Sequence[Place], file: OutputFile) -> Iterator[Copy]:
    if tree.root is not None and not file.is_list:
        path = tree.root / file.path
        yield Copy(file.path, WORKTREE, partial(_open, path), _on_disk(path))
    for place in places:
        bytes_id: object = (place.name, file.md5)
        if isinstance(place.filesystem, LocalFileSystem):
            bytes_id = _on_disk(Path(place.object(file.md5)))
        yield Copy(file.path, place.name, partial(place.open, file.md5), bytes_id)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _on_disk(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return path
    return status.st_dev, status.st_ino


def _read(copy: Copy) -> State:
    try:
        with copy.open() as stream:
            return digests_of(stream)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # each file system has errors of its own
        return str(error) or type(error).__name__

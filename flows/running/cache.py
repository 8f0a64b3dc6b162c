"""DVC's cache, object by object: what is not what its name says is dropped, and made anew.

DVC trusts an object that it may only read, and outputs are hard links to these: what spoils an
output in place spoils the cache, from where `dvc repro` would put the same bytes back. An object
is named by its md5, so it can be told; without it DVC runs the stage again.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc.repo import Repo

OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")
VERIFIED = "verified.json"
FOLDER = ".dir"


class NoCache(Exception):
    """DVC cannot read the project."""


@dataclass(frozen=True)
class Spoilt:
    """An object that is not what its name says, and the outputs that it was to be."""

    path: Path
    outputs: tuple[Path, ...]

    def __str__(self) -> str:
        first = f"of {self.outputs[0]}" if self.outputs else "of no output of today"
        more = f" and {len(self.outputs) - 1} more" if self.outputs[1:] else ""
        return f"{self.path}, {first}{more}"


def verify(*, is_quick: bool = False, is_dropped: bool = True) -> list[Spoilt]:
    """What of this checkout's cache is spoilt; it is dropped unless `is_dropped` is false.

    The quick form takes for sound what was so when last looked at and has not been written since.

    Raises:
        NoCache: DVC cannot read the project.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(".", _wait_for_lock=True) as repo, repo.lock:
            found = find_spoilt(repo, is_quick=is_quick)
            if is_dropped:
                drop(found)
            return found
    except DvcException as error:
        raise NoCache(f"{error}; run from the repository's root") from error


def find_spoilt(repo: "Repo", *, is_quick: bool) -> list[Spoilt]:
    """The objects that are not what their names say; the caller holds DVC's lock."""
    memory = Path(repo.tmp_dir, VERIFIED)
    known = _read(memory) if is_quick else {}
    sound, spoilt = {}, {}
    for path in _objects(Path(repo.cache.local.path)):
        name, stat = f"{path.parent.name}{path.name}", path.stat()
        look = [stat.st_ino, stat.st_mtime_ns, stat.st_size]
        if known.get(name) == look or _md5(path) == name.removesuffix(FOLDER):
            sound[name] = look
        else:
            spoilt[name] = path
    memory.write_text(json.dumps(sound), encoding="utf-8")
    if not spoilt:
        return []
    outputs = _outputs(repo, sound)
    return [Spoilt(path, tuple(outputs[name])) for name, path in spoilt.items()]


def drop(spoilt: list[Spoilt]) -> None:
    """Remove objects, and of the outputs the files that are spoilt with them."""
    for each in spoilt:
        name = f"{each.path.parent.name}{each.path.name}"
        for output in each.outputs:
            if output.is_file() and _md5(output) != name:
                output.unlink()
        each.path.unlink(missing_ok=True)
        for output in each.outputs:
            if output.is_symlink() and not output.exists():
                output.unlink()


def _objects(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.glob("??/*")):
        if OBJECT.fullmatch(path.name) and path.is_file():
            yield path


def _outputs(repo: "Repo", sound: dict[str, list[int]]) -> dict[str, list[Path]]:
    """The files of all outputs that dvc.lock names, by the object of each."""
    found: dict[str, list[Path]] = defaultdict(list)
    for out in repo.index.outs:
        name = out.hash_info.value if out.use_cache and out.hash_info else None
        if name is None:
            continue
        path = Path(out.def_path)
        found[name].append(path)
        if name.endswith(FOLDER) and name in sound:
            listed = Path(repo.cache.local.path, name[:2], name[2:])
            for entry in json.loads(listed.read_text(encoding="utf-8")):
                found[entry["md5"]].append(path / entry["relpath"])
    return found


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
        return digest.hexdigest()


def _read(memory: Path) -> dict[str, list[int]]:
    with suppress(OSError, ValueError):
        known: dict[str, list[int]] = json.loads(memory.read_text(encoding="utf-8"))
        return known
    return {}

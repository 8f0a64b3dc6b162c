"""What a step was given, held against what stands there when it publishes and when it ends.

DVC writes down the parameters, inputs and listing of a stage when the stage has ended. What is
edited meanwhile would be recorded as what it ran with, and its run cache would hand the result on.
So a step fails where anything moved, and DVC records nothing of a stage that failed:

- inputs, by inode, time of change and size of every file: an edit changes one of them, and so does
  an edit back. Nothing is hashed, so a policy of any size costs a look at its files;
- the sections of params.yaml that it read, by their values: others may be edited;
- the files that its listing names. A module is compared as it was when it was loaded, by its
  tokens; and a file that other processes of the step may load must not be touched at all.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tokenize import TokenError
from typing import Any

from stages.running import sources

Look = Mapping[str, tuple[int, int, int]]
NO_RESULTS = (".run.json", ".tmp", ".scratch", "__pycache__")
"""How names end that DVC leaves out of its folders."""


class Moved(Exception):
    """What the step was given is not what stands there: it must run again."""

    def __init__(self, found: Iterable[str]) -> None:
        super().__init__(
            f"changed while this step ran, or since its code was listed: {'; '.join(found)}; "
            "nothing of it is recorded: run again"
        )


@dataclass
class _Given:
    inputs: dict[Path, Look]
    outputs: dict[Path, Look]
    listing: Path | None = None
    listed: Mapping[str, str] = field(default_factory=dict)
    code: dict[str, Look] = field(default_factory=dict)
    values: dict[str, tuple[Any, Callable[[], Any]]] = field(default_factory=dict)


_given: _Given | None = None


def begin(inputs: Iterable[Path], listing: Path | None, outputs: Iterable[Path] = ()) -> None:
    """Look at what a step is given, and at what stands where its outputs will.

    Raises:
        Moved: the code that is loaded is not the code that is listed.
    """
    global _given
    _given = given = _Given(_looks(inputs), _looks(outputs))
    if listing is None:
        stale = sources.edited()
    else:
        given.listing, given.inputs[listing] = listing, _look(listing)
        given.listed = _read(listing)
        given.code = {name: _look(sources.ROOT / name) for name in given.listed}
        stale = [name for name, digest in given.listed.items() if _digest(name) != digest]
    if stale:
        raise Moved(stale)


def end(error: Exception | None = None) -> None:
    """Hold all against what stands there, and nothing any more; the step may have failed before.

    Raises:
        Moved: something has. What the step published is removed.
    """
    global _given
    given, _given = _given, None
    if given is not None and (found := _all_moved(given)):
        _drop_published(given)
        raise Moved(found) from error


def note(what: str, value: Any, read_again: Callable[[], Any]) -> None:
    """Hold a value that the step read, such as a section of params.yaml."""
    if _given is not None:
        _given.values[what] = (value, read_again)


def need_unmoved() -> None:
    """Refuse to publish what was made from files that have moved.

    Raises:
        Moved: an input or a file of code has.
    """
    if _given is not None and (found := [*_moved_files(_given)]):
        raise Moved(found)


def _all_moved(given: _Given) -> list[str]:
    return [*_moved_files(given), *_moved_values(given)]


def _drop_published(given: _Given) -> None:
    for path in [path for path, look in given.outputs.items() if _look(path) != look]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _moved_files(given: _Given) -> Iterator[str]:
    yield from (str(path) for path, look in given.inputs.items() if _look(path) != look)
    for name, look in given.code.items():
        is_touched = _look(sources.ROOT / name) != look
        is_loaded = sources.ROOT / name in sources.LOADED
        if _digest(name) != given.listed[name] or (
            is_touched and (not is_loaded or _standing_digest(name) != given.listed[name])
        ):
            yield name


def _moved_values(given: _Given) -> Iterator[str]:
    for what, (value, read_again) in given.values.items():
        try:
            is_same = read_again() == value
        except Exception:  # it can no longer be read, for whatever reason
            is_same = False
        if not is_same:
            yield what


def _looks(paths: Iterable[Path]) -> dict[Path, Look]:
    return {path: _look(path) for path in paths}


def _look(path: Path) -> Look:
    """Inode, time of change and size of a file, or of each file in a folder, by its path."""
    try:
        if not path.is_dir():
            return {"": _stat(path)}
        return {str(file): _stat(file) for file in _files(path)}
    except OSError:
        return {}


def _files(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if entry.name.endswith(NO_RESULTS):
            continue
        if entry.is_dir():
            yield from _files(Path(entry))
        else:
            yield Path(entry)


def _stat(file: Path) -> tuple[int, int, int]:
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(listing: Path) -> dict[str, str]:
    try:
        listed: dict[str, str] = json.loads(listing.read_text(encoding="utf-8"))
        return {**listed}
    except FileNotFoundError:
        return {}  # DVC, or the step itself, tells that it is missing
    except (TypeError, ValueError):
        raise Moved([str(listing)]) from None


def _digest(name: str) -> str | None:
    """Of a file as this process loaded it, or as it stands where it did not."""
    source = sources.LOADED.get(sources.ROOT / name)
    return _standing_digest(name) if source is None else _of_source(name, source)


def _standing_digest(name: str) -> str | None:
    try:
        return _of_source(name, (sources.ROOT / name).read_bytes())
    except OSError:
        return None


@cache
def _of_source(name: str, source: bytes) -> str | None:
    try:
        return sources.listed_digest(name, source)
    except (SyntaxError, TokenError):
        return None

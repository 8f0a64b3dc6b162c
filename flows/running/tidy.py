"""What a checkout keeps of stages that dvc.yaml with params.yaml asks for no longer, and its end.

DVC drops no entry of dvc.lock and no output when a round or a whole profile goes. What is looked
for lies where a stage of dvc.yaml would write for a key that params.yaml does not have; all other
files are left alone, and DVC's cache keeps what it has.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import psutil

from flows.project import mending, yaml_text
from flows.project.paths import GRAPH, LOCK, SCRATCH
from flows.running import graph
from flows.running.stage import Busy, exclusive

KEY = "${key}"
COMPANION = ".run.json"
IGNORED = ".gitignore"
UNFINISHED = re.compile(r"\.?(.+)-[0-9a-f]{20}(\.tmp)?")
"""A folder of unfinished work: the stage, its key, and the digest of what it began with."""


@dataclass(frozen=True)
class Left:
    """A file or folder, and the bytes in it."""

    path: Path
    num_bytes: int


@dataclass(frozen=True)
class Leftovers:
    """What is asked for no longer."""

    entries: tuple[str, ...]
    """Of dvc.lock, by the stage's name."""
    paths: tuple[Left, ...]

    @property
    def num_bytes(self) -> int:
        """Of all paths."""
        return sum(left.num_bytes for left in self.paths)


def find() -> Leftovers:
    """What the checkout keeps without being asked.

    Raises:
        GraphError: DVC cannot read the project.
    """
    steps = graph.steps()
    names = {step.name for step in steps}
    named = {word for step in steps for word in step.command.split()}
    outputs = {out for step in steps for out in step.outs}
    locked = mending.stages(LOCK.read_text(encoding="utf-8")) if LOCK.is_file() else {}
    entries = tuple(name for name in locked if name not in names)
    paths = {*_unasked(named, outputs), *_unfinished(names)}
    outermost = sorted(path for path in paths if not paths.intersection(path.parents))
    return Leftovers(entries, tuple(Left(path, _num_bytes(path)) for path in outermost))


def sweep(left: Leftovers) -> None:
    """Remove them. What git tracks shows as deleted, to be committed."""
    if left.entries:
        kept = mending.stages(LOCK.read_text(encoding="utf-8"))
        for name in left.entries:
            kept.pop(name, None)
        mending.write_stages(kept)
    for each in left.paths:
        if each.path.is_dir() and not each.path.is_symlink():
            shutil.rmtree(each.path)
        else:
            each.path.unlink(missing_ok=True)
        _drop_if_empty(each.path.parent)


@contextmanager
def nothing_running() -> Iterator[None]:
    """Keep other runs of this checkout out while the block runs.

    Raises:
        Busy: a run, or a DVC, is at work.
    """
    with exclusive():
        for pid in _at_work():
            raise Busy(f"a DVC is at work in this checkout, process {pid}; let it end, or end it")
        yield


def _at_work() -> Iterator[int]:
    """The living processes that DVC's record says read or write files."""
    if not mending.RECORD.is_file():
        return
    for uses in json.loads(mending.RECORD.read_text(encoding="utf-8")).values():
        for use in [*uses.get("read", []), *([uses["write"]] if uses.get("write") else [])]:
            if psutil.pid_exists(use["pid"]):
                yield use["pid"]


def _unasked(named: set[str], outputs: set[str]) -> Iterator[Path]:
    for pattern in sorted(_patterns()):
        for path in chain(Path().glob(pattern), Path().glob(pattern + COMPANION)):
            asked = Path(str(path).removesuffix(COMPANION))
            is_within = any(str(each) in outputs for each in (asked, *asked.parents))
            if not is_within and str(asked) not in named and path.name != IGNORED:
                yield path


def _patterns() -> Iterator[str]:
    """What the stages of dvc.yaml write for any key."""
    for stage in yaml_text.values(GRAPH.read_text(encoding="utf-8"))["stages"].values():
        body = stage.get("do", {})
        declared = [*body.get("outs", []), *body.get("metrics", []), *body.get("plots", [])]
        paths = [_path(entry) for entry in declared]
        folders = {path.partition("/")[0] for path in paths if KEY in path}
        # Pages are written beside the outputs, and not declared.
        words = body.get("cmd", "").split()
        paths += [word for word in words if word.partition("/")[0] in folders]
        yield from (path.replace(KEY, "*") for path in paths if KEY in path)


def _path(entry: str | Mapping[str, Any]) -> str:
    return entry if isinstance(entry, str) else next(iter(entry))


def _unfinished(names: set[str]) -> Iterator[Path]:
    known = {name.replace("@", "-") for name in names}
    for path in SCRATCH.glob("*"):
        if (found := UNFINISHED.fullmatch(path.name)) and found[1] not in known:
            yield path


def _num_bytes(path: Path) -> int:
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(each.lstat().st_size for each in inside if not each.is_dir())


def _drop_if_empty(folder: Path) -> None:
    """Drop a folder that holds nothing but DVC's own list of what git is to ignore there."""
    is_of_one_key = len(folder.parts) > 2
    if is_of_one_key and {each.name for each in folder.iterdir()} <= {IGNORED}:
        shutil.rmtree(folder)

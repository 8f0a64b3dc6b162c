"""Mends what a killed DVC may leave behind: two files written in place, which a kill may truncate.

`.dvc/tmp/rwlock` says which of its processes read and write which files; truncated, every command
of DVC fails with "JSON structure is corrupted". dvc.lock says what each stage was last run on;
truncated, DVC fails with "validation failed", or takes it that the stages after the cut never ran.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from flows.project import git
from flows.project.paths import DATA, LOCK, SCRATCH

RECORD = Path(".dvc/tmp/rwlock")
GUARDS = {RECORD: Path(".dvc/tmp/rwlock.lock"), LOCK: Path(".dvc/tmp/lock")}
"""What DVC holds, by flock, while it writes each."""
HEAD = "schema: '2.0'\nstages:\n"
LEFT = re.compile(r"\..+\.(\d+)\.tmp")
STAGE = re.compile(r"^  (?=\S)", re.MULTILINE)


def mend() -> None:
    """Mend what is truncated, unless a DVC is writing it at this moment.

    A DVC at work elsewhere in this checkout ends with an error when it looks for itself in the
    record that is gone, as it would have at the broken one.
    """
    _remove_left()
    _mend(RECORD, _is_record_cut, RECORD.unlink)
    _mend(LOCK, _is_lock_cut, _mend_lock)


def _remove_left() -> None:
    """Remove what killed stages were about to publish: `.NAME.PID.tmp`, of processes that are gone.

    A stage removes what is left of its own outputs; one that is restored, and not run again, stays.
    """
    for folder, names, files in os.walk(DATA):
        if SCRATCH.name in names:
            names.remove(SCRATCH.name)
        for name in [*names, *files]:
            if (left := LEFT.fullmatch(name)) and not psutil.pid_exists(int(left[1])):
                path = Path(folder, name)
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        names[:] = [name for name in names if not LEFT.fullmatch(name)]


def _mend(file: Path, is_cut: Callable[[], bool], mend_it: Callable[[], None]) -> None:
    if not is_cut():
        return
    GUARDS[file].parent.mkdir(parents=True, exist_ok=True)
    with GUARDS[file].open("a") as guard, suppress(BlockingIOError):
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_cut():
            mend_it()


def _is_record_cut() -> bool:
    try:
        json.loads(RECORD.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


def _is_lock_cut() -> bool:
    """Whether it ends as no whole one does: within a line, or with a key that has no value."""
    try:
        text = LOCK.read_bytes()
    except FileNotFoundError:
        return False
    return not text.endswith(b"\n") or text.endswith(b":\n")


def _mend_lock() -> None:
    """Keep its whole stages and take the others from HEAD; DVC checks whether those still hold."""
    whole = stages(LOCK.read_text(encoding="utf-8", errors="replace"))
    if whole:
        whole.popitem()
    found = stages(git.read("HEAD", LOCK) or "") | whole
    write_stages(found)


def write_stages(found: dict[str, str]) -> None:
    """Make dvc.lock of these stages; without any it is removed."""
    if not found:
        LOCK.unlink()
        return
    GUARDS[LOCK].parent.mkdir(parents=True, exist_ok=True)
    beside = GUARDS[LOCK].with_name("dvc.lock.mended")
    beside.write_text(HEAD + "".join(f"  {text}" for text in found.values()), encoding="utf-8")
    beside.replace(LOCK)


def stages(text: str) -> dict[str, str]:
    """The text of each stage of a dvc.lock, by its name."""
    _, *found = STAGE.split(text)
    return {stage.split(":", 1)[0]: stage for stage in found}

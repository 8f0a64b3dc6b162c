"""What a killed DVC may leave behind, mended: the two files that it writes in place, which a kill may cut short.

`.dvc/tmp/rwlock` says which of its processes read and write which files; cut short, every command of DVC fails with
"JSON structure is corrupted". dvc.lock says what each stage was last run on; cut short, DVC fails with "validation
failed", or takes the stages behind the cut for never run.
"""

import fcntl
import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flows import git

RECORD, LOCK = Path(".dvc/tmp/rwlock"), Path("dvc.lock")
GUARDS = {RECORD: Path(".dvc/tmp/rwlock.lock"), LOCK: Path(".dvc/tmp/lock")}
"""What DVC holds, by flock, while it writes each."""
HEAD = "schema: '2.0'\nstages:\n"
STAGE = re.compile(r"^  (?=\S)", re.MULTILINE)


def mend() -> None:
    """Mend what is cut short, unless a DVC is just writing it.

    A DVC at work elsewhere in this checkout ends with an error when it looks for itself in the record that is gone, as
    it would have at the broken one.
    """
    _mend(RECORD, _is_record_cut, RECORD.unlink)
    _mend(LOCK, _is_lock_cut, _mend_lock)


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
    """Keep its whole stages; the others as git has them at HEAD, of which DVC sees whether they still hold."""
    whole = _stages(LOCK.read_text(encoding="utf-8", errors="replace"))
    if whole:
        whole.popitem()
    stages = _stages(git.read("HEAD", LOCK) or "") | whole
    if not stages:
        LOCK.unlink()
        return
    beside = GUARDS[LOCK].with_name("dvc.lock.mended")
    beside.write_text(HEAD + "".join(f"  {text}" for text in stages.values()), encoding="utf-8")
    beside.replace(LOCK)


def _stages(text: str) -> dict[str, str]:
    """The text of each stage of a dvc.lock, by its name."""
    _, *found = STAGE.split(text)
    return {stage.split(":", 1)[0]: stage for stage in found}

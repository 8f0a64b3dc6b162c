"""What a killed DVC may leave behind, mended.

DVC keeps which of its processes read and write which files in .dvc/tmp/rwlock. It writes the file in place, so a kill
in that moment leaves it empty or cut short, and then every command of DVC fails with "JSON structure is corrupted".
"""

import fcntl
import json
from pathlib import Path

RECORD = Path(".dvc/tmp/rwlock")
GUARD = Path(".dvc/tmp/rwlock.lock")
"""What DVC holds, by flock, while it edits the record."""


def mend() -> bool:
    """Remove the record if it is no JSON, unless DVC is about to write it; whether it was removed.

    Only what processes at work hold is in it, and these are checked by their numbers: nothing else is lost.
    """
    if not _is_broken():
        return False
    with GUARD.open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if is_broken := _is_broken():
            RECORD.unlink()
        return is_broken


def _is_broken() -> bool:
    try:
        json.loads(RECORD.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False

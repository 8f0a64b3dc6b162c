"""What a killed DVC may leave behind, mended.

DVC keeps which of its processes read and write which files in .dvc/tmp/rwlock. It writes the file in place, so a kill
in that moment leaves it empty or cut short, and then every command of DVC fails with "JSON structure is corrupted".
"""

import fcntl
import json
from contextlib import suppress
from pathlib import Path

RECORD = Path(".dvc/tmp/rwlock")
GUARD = Path(".dvc/tmp/rwlock.lock")
"""What DVC holds, by flock, while it edits the record."""


def mend() -> None:
    """Remove the record if it is no JSON, unless a DVC is just writing it.

    A DVC at work elsewhere in this checkout ends with an error when it looks for itself in the record, as it would have
    at the broken one.
    """
    if not _is_broken():
        return
    with GUARD.open("a") as guard, suppress(BlockingIOError):
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_broken():
            RECORD.unlink()


def _is_broken() -> bool:
    try:
        json.loads(RECORD.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False

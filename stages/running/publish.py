"""How a stage leaves something behind: whole or not at all."""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.running import holding
from stages.running.errors import REMEDY, BadInput


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write at; rename it into place when the block ends well.

    What an earlier run left half-written when it was killed is removed: an output has one writer.
    All bytes are on the disk before the new name is, so that a power cut too leaves the one or the
    other.

    Raises:
        Moved: what it was made from is not what stands there any more.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    remove_left(path)
    try:
        yield beside
        holding.need_unmoved()
        _sync(beside)
        if path.is_dir() or beside.is_dir():
            _remove(path)
        beside.replace(path)
        _sync_one(path.parent)
    except Exception as error:
        if isinstance(error, OSError) or os.strerror(errno.ENOSPC) not in str(error):
            raise
        # safetensors and tokenizers hide a full disk in errors of their own
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    finally:
        _remove(beside)


def remove_left(path: Path) -> None:
    """Remove what was to become `path` when whoever wrote it was killed."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        _remove(left)


def _sync(path: Path) -> None:
    """Have a file, or a folder and all in it, on the disk."""
    if path.is_dir():
        for below in path.iterdir():
            _sync(below)
    _sync_one(path)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no such thing
            raise
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Write sorted, indented JSON atomically; NaN is refused."""
    with atomic(path) as beside:
        beside.write_text(
            json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8"
        )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BadInput: the file is missing or is not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path} is missing; `dvc repro` makes it") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput(f"{path} is corrupt ({error}); {REMEDY}") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path} holds no JSON object; {REMEDY}")
    return value

"""Where the unfinished work of a step is kept: apart, under the digest of its inputs."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stages.running.errors import BadInput

NUMERIC_PACKAGES = ("torch", "transformers", "numpy", "pyarrow")


@contextmanager
def scratch(root: Path, stage: str, settings: Any, inputs: Iterable[Path]) -> Iterator[Path]:
    """Yield the folder for a stage's unfinished work on these inputs; drop it at a good end.

    A re-run after a kill gets the same folder back, and another only if a setting, an input file or
    a numeric package has changed. One of the inputs is the listing of the step's code.
    """
    folder = root / f"{stage}-{_digest(settings, inputs)[:20]}"
    folder.mkdir(parents=True, exist_ok=True)
    for left in root.glob(f".{stage}-*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    yield folder
    # Renamed first: of a folder half deleted by a kill, a re-run would take what is left for
    # finished work.
    shutil.rmtree(folder.rename(folder.with_name(f".{folder.name}.tmp")))


def _digest(settings: Any, inputs: Iterable[Path]) -> str:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for package in NUMERIC_PACKAGES:
        digest.update(f"{package}=={version(package)}\n".encode())
    for file in _files(inputs):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _files(inputs: Iterable[Path]) -> Iterator[Path]:
    for path in inputs:
        if not path.exists():
            raise BadInput(f"{path} is missing; `dvc repro` makes it")
        yield from sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]

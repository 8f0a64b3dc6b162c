"""The digest of a checkpoint: whatever decides its policy is in it, and nothing else."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from stages.engines.starts.files import BESIDE_WEIGHTS, checkpoint_digest

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (WEIGHTS, *BESIDE_WEIGHTS):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize("name", [WEIGHTS, *BESIDE_WEIGHTS])
def test_another_file_is_another_checkpoint(name: str, folder: Path) -> None:
    before = checkpoint_digest(folder, [WEIGHTS])
    (folder / name).write_text("other")
    changed = checkpoint_digest(folder, [WEIGHTS])
    if name != WEIGHTS:
        (folder / name).unlink()
    assert len({before, changed, checkpoint_digest(folder, [WEIGHTS])}) == (
        3 if name != WEIGHTS else 2
    )


def test_a_file_that_decides_nothing_changes_nothing(folder: Path) -> None:
    before = checkpoint_digest(folder, [WEIGHTS])
    (folder / "README.md").write_text("other")
    assert checkpoint_digest(folder, [WEIGHTS]) == before


def test_the_digest_is_that_of_what_sha256sum_prints(folder: Path) -> None:
    command = ["sha256sum", *sorted([WEIGHTS, *BESIDE_WEIGHTS])]
    printed = subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
    assert checkpoint_digest(folder, [WEIGHTS]) == hashlib.sha256(printed).hexdigest()

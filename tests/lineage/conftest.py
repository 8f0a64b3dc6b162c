"""A finished checkout whose results are committed, as a user leaves it: what an audit reads."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import run, succeed


@pytest.fixture(scope="session")
def audited(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project, its results committed. Tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("audited") / "tree"
    shutil.copytree(finished, folder, symlinks=True)
    succeed(["git", "add", "--all"], folder)
    run(["git", "commit", "--quiet", "--message", "results"], folder)
    return folder


@pytest.fixture
def copy(audited: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    folder = tmp_path / "copy"
    shutil.copytree(audited, folder, symlinks=True)
    return folder

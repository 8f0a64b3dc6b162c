"""A finished checkout whose results are committed, as a user leaves it: what an audit reads."""

import shutil
from pathlib import Path

import pytest

from fixtures.checkouts import run, succeed
from tests.lineage import chain


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


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """A chain by hand: its last two rounds were rewarded by a judge of another branch."""
    steps = chain.beginning({"checkpoint": "models/base", "sha256": "ab" * 32})
    steps |= chain.exam_of("r0") | chain.round_of("o1", "r0", 1) | chain.round_of("o2", "o1", 2)
    steps |= chain.judge_of("j1", "r0", "o2")
    steps |= chain.round_of("i1", "r0", 1, recipe="information")
    steps |= chain.round_of("i2", "i1", 2, "j1", "information")
    steps |= chain.round_of("i3", "i2", 3, "j1", "information")
    chain.write(tmp_path, steps | chain.exam_of("i3"))
    return tmp_path

"""Checkouts for tests that run the whole graph: each a git and DVC repository of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parent.parent
PROFILES = ROOT / "tests" / "profiles"


def run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment's programs; its output is kept for the assertion message."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def succeed(command: list[str], cwd: Path, **environment: str) -> str:
    """Run a command that must succeed; what it printed."""
    done = run(command, cwd, **environment)
    assert done.returncode == 0, (
        f"{command} exited with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    )
    return done.stdout + done.stderr


def check_out(folder: Path, profile: str) -> Path:
    """A fresh clone of the working tree with a test profile as its params.yaml, and no results."""
    listed = succeed(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT).splitlines()
    for name in listed:
        is_result = name == "dvc.lock" or (name.startswith("data/") and name != "data/.gitignore")
        if (ROOT / name).is_file() and not is_result:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copy(PROFILES / f"{profile}.yaml", folder / "params.yaml")
    succeed(["git", "init", "--quiet", "--initial-branch", "main"], folder)
    succeed(["git", "config", "user.email", "test@example.com"], folder)
    succeed(["git", "config", "user.name", "Test"], folder)
    succeed(["git", "add", "--all"], folder)
    succeed(["git", "commit", "--quiet", "--message", "clone"], folder)
    return folder


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a checkout with a profile of `tests/profiles`."""
    return lambda profile: check_out(tmp_path_factory.mktemp(profile), profile)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the tiny profile after `dvc repro`. Tests must leave its tracked files and results as they are.

    Made once, whichever of the workers asks first. While you work, `KNOWHOW_FINISHED` may name one that was finished
    before, to save the minutes.
    """
    if ready := os.environ.get("KNOWHOW_FINISHED"):
        return Path(ready)
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "finished"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.with_suffix(".done").exists():
            folder.mkdir()
            succeed(["dvc", "repro"], check_out(folder, "tiny"))
            folder.with_suffix(".done").touch()
    return folder

"""Checkouts for tests that run the whole graph: each a git and DVC repository of its own."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from flows.warm import SOCKET, server

ROOT = Path(__file__).parent.parent
PROFILES = ROOT / "tests" / "profiles"
WARM_SECONDS = 300

FIRST = (
    "tests/test_end_to_end.py::test_every_variant_goes_through",  # while another worker makes the finished checkout
    "tests/test_end_to_end.py",
    "tests/test_ray_stages.py",
    "tests/flows/test_serve.py",
    "tests/flows/test_train.py",
    "tests/flows/test_nightly.py",
    "tests/lineage/answers/test_rebuild.py",
    "tests/test_update.py",
    "tests/benchmarks/test_gpu_check.py",
    "tests/lineage/proof/test_tampering.py",
    "tests/test_validate.py",
    "tests/engines/test_ray_pool.py",
    "tests/engines/test_policy_loss.py",
    "tests/verifiers/test_hostile.py",
    "tests/flows/test_warm.py",
    "tests/engines/test_ranks.py",
)
"""What takes longest, in the order in which it is begun; the rest fills in at the end."""
APART = ("tests/test_end_to_end.py", "tests/test_ray_stages.py")
"""Files whose tests share nothing but what a session shares."""


class InUnits(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """A worker takes a file at a time, and of those that stand apart a test at a time."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file in APART else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> InUnits:
    return InUnits(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next(
            (number for number, name in enumerate(FIRST) if item.nodeid.startswith(name)),
            len(FIRST),
        )

    items.sort(key=place)


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
    listed = succeed(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT
    ).splitlines()
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
def warm() -> Iterator[dict[str, str]]:
    """Environment in which a checkout's stages are forks of one warm server, which has this tree's
    code.
    """
    with server() as path:
        end = time.monotonic() + WARM_SECONDS
        while not path.exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        yield {SOCKET: str(path)}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A checkout of the tiny profile after `dvc repro`. Tests must leave its tracked files and
    results as they are.

    Made once, whichever of the workers asks first. While you work, `KNOWHOW_FINISHED` may name one
    that was finished before, to save the minutes.
    """
    if ready := os.environ.get("KNOWHOW_FINISHED"):
        return Path(ready)
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "finished"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.with_suffix(".done").exists():
            folder.mkdir()
            succeed(["dvc", "repro"], check_out(folder, "tiny"), **request.getfixturevalue("warm"))
            folder.with_suffix(".done").touch()
    return folder

"""Checkouts for tests that run the whole graph: each a git and DVC repository of its own."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from fixtures.checkouts import check_out, succeed
from flows.warm import SOCKET, server
from tests.browser import Browser, open_browser

WARM_SECONDS = 300

FIRST = (
    # While another worker makes the finished checkout.
    "tests/test_end_to_end.py::test_every_variant_goes_through",
    "tests/test_end_to_end.py",
    "tests/test_ray_stages.py",
    "tests/experiments/test_chain.py",
    "tests/flows/commands/test_serve.py",
    "tests/flows/running/test_train.py",
    "tests/flows/nights/test_flow.py",
    "tests/lineage/answers/test_rebuild.py",
    "tests/update/test_main.py",
    "tests/benchmarks/test_gpu_check.py",
    "tests/lineage/proof/test_tampering.py",
    "tests/validate/test_main.py",
    "tests/engines/pools/test_ray.py",
    "tests/engines/training/test_policy_loss.py",
    "tests/verifiers/test_hostile.py",
    "tests/flows/test_warm.py",
    "tests/engines/training/test_ranks.py",
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


class Telling:
    """Shows a failure when it happens: of a run that is stopped, pytest would show none."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.ensure_newline()
            self._terminal.write_sep("_", f"{report.when} of {report.nodeid}")
            self._terminal.write_line(report.longreprtext)


def pytest_sessionstart(session: pytest.Session) -> None:
    plugins = session.config.pluginmanager
    if terminal := plugins.get_plugin("terminalreporter"):  # a worker has none
        plugins.register(Telling(terminal))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next(
            (number for number, name in enumerate(FIRST) if item.nodeid.startswith(name)),
            len(FIRST),
        )

    items.sort(key=place)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a checkout with a profile of `tests/profiles`."""
    return lambda profile: check_out(tmp_path_factory.mktemp(profile), profile)


@pytest.fixture(scope="session")
def warm() -> Iterator[dict[str, str]]:
    """Environment of stages that are forks of one warm server, which has this tree's code."""
    with server() as path:
        end = time.monotonic() + WARM_SECONDS
        while not path.exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        yield {SOCKET: str(path)}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A checkout of the tiny profile after `dvc repro`; its tracked files and results stay.

    Made once, whichever of the workers asks first. While you work, `KNOWHOW_FINISHED` may name one
    that was finished before, to save the minutes.
    """
    if ready := os.environ.get("KNOWHOW_FINISHED"):
        return Path(ready)
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.with_suffix(".done").exists():
            folder.mkdir()
            succeed(["dvc", "repro"], check_out(folder, "tiny"), **request.getfixturevalue("warm"))
            folder.with_suffix(".done").touch()
    return folder


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """A headless Chromium."""
    return open_browser(tmp_path)

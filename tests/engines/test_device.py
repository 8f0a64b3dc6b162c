"""One accelerator job at a time, across processes, freed by the kernel however its holder dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from stages.engines import device as module
from stages.engines.device import CPU_LOCK, DEVICE, WAIT_SECONDS, device, exclusive_device
from stages.running.errors import BadInput, MachineFailure

ROOT = Path(__file__).parents[2]
HOLDER = """
import subprocess, sys, time
from stages.engines.device import exclusive_device
with exclusive_device("holder"):
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    print(child.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own to lock, and the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DEVICE, "cpu")
    monkeypatch.setenv(WAIT_SECONDS, "0.3")


@contextmanager
def another_job() -> Iterator[psutil.Process]:
    """Another process that holds the device, with a program of its own running."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True, env=environment
    ) as holder:
        assert holder.stdout is not None
        child = psutil.Process(int(holder.stdout.readline()))
        try:
            yield psutil.Process(holder.pid)
        finally:
            child.kill()
            holder.kill()


def test_a_busy_accelerator_is_waited_for_and_then_given_up() -> None:
    begin = time.monotonic()
    with another_job(), pytest.raises(MachineFailure) as failure, exclusive_device("probe"):
        pytest.fail("two jobs at once")
    assert time.monotonic() - begin >= 0.3
    for part in ("probe", "no free accelerator", str(CPU_LOCK), "0.3 s", WAIT_SECONDS):
        assert part in str(failure.value)


def test_a_killed_holder_frees_it_though_its_child_lives_on() -> None:
    with another_job() as holder:
        [child] = holder.children()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert child.is_running()
        with exclusive_device("probe"):
            pass


def test_who_waits_long_enough_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WAIT_SECONDS, "60")
    waiter = """
from stages.engines.device import exclusive_device
with exclusive_device("x"):
    print("mine")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with another_job() as holder:
        waiting = subprocess.Popen(
            [sys.executable, "-c", waiter], stdout=subprocess.PIPE, text=True, env=environment
        )
        time.sleep(0.3)
        assert waiting.poll() is None
        holder.kill()
        assert waiting.communicate(timeout=60)[0] == "mine\n"


def test_it_is_free_after_success_and_after_failure() -> None:
    def work() -> None:
        with exclusive_device("probe"):
            raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            work()
        with exclusive_device("probe"):
            assert CPU_LOCK.is_file()


@pytest.mark.parametrize("wanted", ["gpu", "CPU", ""])
def test_an_unknown_device_is_refused(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE, wanted)
    with pytest.raises(BadInput, match=f"{DEVICE}={wanted}: choose from cpu, cuda"):
        device()


def test_a_gpu_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "GPU_NODE", tmp_path / "nvidia0")
    monkeypatch.setenv(DEVICE, "cuda")
    with pytest.raises(BadInput, match="nvidia0"):
        device()


def test_the_machine_decides_unless_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    node = tmp_path / "nvidia0"
    monkeypatch.setattr(module, "GPU_NODE", node)
    monkeypatch.delenv(DEVICE)
    assert device() == "cpu"
    node.write_text("")
    assert device() == "cuda"
    monkeypatch.setenv(DEVICE, "cpu")
    assert device() == "cpu"


def test_with_a_gpu_the_lock_is_on_its_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So that jobs of every checkout on the machine exclude each other."""
    node = tmp_path / "nvidia0"
    node.write_text("")
    monkeypatch.setattr(module, "GPU_NODE", node)
    monkeypatch.setenv(DEVICE, "cuda")
    with (
        exclusive_device("one"),
        pytest.raises(MachineFailure, match="nvidia0"),
        exclusive_device("two"),
    ):
        pytest.fail("two jobs at once")
    assert not CPU_LOCK.exists()

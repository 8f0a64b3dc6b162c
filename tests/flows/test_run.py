"""`python -m flows.run`, as experiments and rebuilds start it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from fixtures.checkouts import ROOT

SLEEP_SECONDS = f"86397.{time.time_ns()}"  # which no process of another run has
COMMAND = [sys.executable, "-m", "flows.run", "1", "sh", "-c"]


def start(script: str) -> "subprocess.Popen[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*COMMAND, script], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def sleepers() -> list[psutil.Process]:
    processes = psutil.process_iter(["cmdline"])
    return [each for each in processes if SLEEP_SECONDS in (each.info["cmdline"] or [])]


@pytest.mark.parametrize(("script", "exit_code"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_exit_code_is_the_commands(script: str, exit_code: int) -> None:
    with start(script) as guarded:
        assert guarded.wait(30) == exit_code


@pytest.mark.parametrize("how", ["its standard input closes", "the command ends"])
def test_nothing_is_left_when(how: str) -> None:
    ends = f"sleep {SLEEP_SECONDS}" if how.startswith("its") else "exit 0"
    with start(f"setsid sleep {SLEEP_SECONDS} & echo ready; {ends}") as guarded:
        assert guarded.stdout is not None
        assert guarded.stdout.readline() == "ready\n"
        if how.startswith("its"):
            assert sleepers()
            guarded.stdin.close()
        assert guarded.wait(30) == (128 + signal.SIGTERM if how.startswith("its") else 0)
        assert not sleepers()


def test_a_guard_that_is_terminated_ends_its_tree() -> None:
    with start(f"setsid sleep {SLEEP_SECONDS} & echo ready; sleep {SLEEP_SECONDS}") as guarded:
        assert guarded.stdout is not None
        guarded.stdout.readline()
        guarded.terminate()
        assert guarded.wait(30) == 128 + signal.SIGTERM
        end = time.monotonic() + 5
        while sleepers() and time.monotonic() < end:
            time.sleep(0.05)
        assert not sleepers()

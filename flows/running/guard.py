"""The guard between a program and a command that it runs: ends the command's whole tree.

It runs the command until that ends or standard input closes, which it does when the program is
done with it or was killed, even by signal 9. Then it ends all that is left of the command's tree,
whatever session or parent its processes have moved to. `children.py` starts this file as a script,
so that no package is imported for it; `flows.run` is the same for others.
"""

import ctypes
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil

UNWIND_SECONDS = 3.0
POLL_SECONDS = 0.05
PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Guard a command: `GRACE_SECONDS COMMAND …`. Returns an exit code, that of the command."""
    grace_seconds, *command = arguments
    return guard(float(grace_seconds), command)


def guard(grace_seconds: float, command: list[str]) -> int:
    """Run `command` until it ends or standard input closes; then end everything below.

    Returns an exit code, 128 and the signal's number where a signal ended the command.
    """
    if sys.platform == "linux":
        # Orphans of the tree become this process's children, so that none is lost.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    # The terminal's interrupt reaches the command too, which knows what to do.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        while child.poll() is None and not select.select([sys.stdin], [], [], POLL_SECONDS)[0]:
            pass
    finally:
        _end_all(child, grace_seconds)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _end_all(child: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """TERM, then KILL, all processes below this one.

    The command itself comes last: when its stage dies DVC drops its locks.
    """
    if _signal_all(signal.SIGTERM, grace_seconds, spare=child.pid):
        _signal_all(signal.SIGKILL, grace_seconds, spare=child.pid)
        with suppress(subprocess.TimeoutExpired):
            child.wait(UNWIND_SECONDS)
    _signal_all(signal.SIGTERM, grace_seconds)
    _signal_all(signal.SIGKILL, grace_seconds)
    child.wait()


def _signal_all(number: int, patience_seconds: float, spare: int | None = None) -> bool:
    """Signal each process below this one once, until none is left or time is up.

    Those that appear meanwhile are signalled too. Returns whether there was any.
    """
    signalled: set[psutil.Process] = set()
    end = time.monotonic() + patience_seconds
    while (left := _living(spare)) and time.monotonic() < end:
        for process in left:
            if process not in signalled:
                signalled.add(process)
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        time.sleep(POLL_SECONDS)
    return bool(signalled)


def _living(spare: int | None) -> list[psutil.Process]:
    """The processes below this one that are still alive, but for `spare`."""
    living = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.pid != spare and process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
    return living


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

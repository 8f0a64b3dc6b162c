"""Run a command whose stages find their libraries loaded: `python -m flows.warm dvc repro`.

A server imports vLLM, torch and the rest once, in the background, and forks for every stage of the
command that comes after. A fork is a process of its own: it dies with the process that called for
it, leaves nothing behind, and computes what a fresh process would. Stages that start before the
imports are done run by themselves.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flows.project import mending

SOCKET = "KNOWHOW_WARM"
LIBRARIES = ("stages.engines.samplers.vllm", "stages.engines.policy", "great_expectations")
BACKLOG = 16


def main(command: list[str]) -> int:
    """Run the command beside a warm server; its exit code."""
    mending.mend()
    with server() as path:
        try:
            env = {**os.environ, SOCKET: str(path)}
            return subprocess.run(command, env=env, check=False).returncode
        except KeyboardInterrupt:
            return 128 + signal.SIGINT


@contextmanager
def server() -> Iterator[Path]:
    """The socket of a server of its own, which appears once its libraries are loaded."""
    with tempfile.TemporaryDirectory(prefix="knowhow-") as folder:
        path = Path(folder) / "warm"
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.warm", "--serve", str(path)],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            start_new_session=True,
        )
        try:
            yield path
        finally:
            process.kill()
            process.wait()


def serve(path: Path) -> None:
    """Import, then fork for each caller until whoever started this server is gone."""
    for library in LIBRARIES:
        importlib.import_module(library)
    # A fork that searched the libraries for garbage would copy their pages, and find none.
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        beside = path.with_suffix(".new")
        listener.bind(str(beside))
        listener.listen(BACKLOG)
        beside.rename(path)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            caller, _ = listener.accept()
            with caller:
                if os.fork() == 0:
                    listener.close()
                    _answer(caller)


def _answer(caller: socket.socket) -> None:
    """In the fork: become the caller's process, run its module, send the exit code."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    header, streams, _, _ = socket.recv_fds(caller, 8, 3)
    order = json.loads(_receive(caller, int.from_bytes(header, "big")))
    for stream, received in enumerate(streams):
        os.dup2(received, stream)
        os.close(received)
    os.chdir(order["cwd"])
    os.environ.update(order["env"])  # on top of what the libraries were imported under
    sys.argv = [order["module"], *order["arguments"]]
    threading.Thread(target=_die_with, args=(caller,), daemon=True).start()
    code = _run(order["module"])
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        caller.sendall(bytes([code]))
    os.killpg(0, signal.SIGKILL)


def _receive(caller: socket.socket, size: int) -> bytes:
    message = b""
    while len(message) < size and (received := caller.recv(size - len(message))):
        message += received
    return message


def _run(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if isinstance(error.code, int | None):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:  # as the interpreter would
        traceback.print_exc()
        return 1
    return 0


def _die_with(caller: socket.socket) -> None:
    """End the fork and its children when the caller is gone."""
    with suppress(OSError):
        caller.recv(1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
    elif len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        raise SystemExit(0 if len(sys.argv) > 1 else 2)
    else:
        raise SystemExit(main(sys.argv[1:]))

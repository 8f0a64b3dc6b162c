"""Run a command whose stages find their libraries loaded: `python -m flows.warm dvc repro`.

A server imports vLLM, torch and the rest once, in the background, and forks for every stage of the
command that comes after. A fork is a process of its own: it dies with the process that called for
it, leaves nothing behind, and computes what a fresh process would. Stages that start before the
imports are done run by themselves, and so do those whose code is not what was imported any more.
However this program ends, the command, its stages and the server end with it (`guard.py`).
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from flows.project import mending
from flows.running import guard
from flows.running.children import GRACE_SECONDS

SOCKET = "KNOWHOW_WARM"
LIBRARIES = ("stages.engines.samplers.vllm", "stages.engines.policy", "great_expectations")
BACKLOG = 16
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(command: list[str]) -> int:
    """Run the command beside a warm server; its exit code."""
    mending.mend()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    guarded = [sys.executable, "-P", guard.__file__, str(GRACE_SECONDS), *command]
    with server() as path:
        env = {**os.environ, SOCKET: str(path)}
        with subprocess.Popen(guarded, env=env, stdin=subprocess.PIPE) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                return 128 + signal.SIGINT  # the block closes the guard's input, and waits for it


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


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
    signal.signal(signal.SIGTERM, _leave)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # while it imports, too
    try:
        _serve(path)
    finally:
        shutil.rmtree(path.parent, ignore_errors=True)


def _serve(path: Path) -> None:
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
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
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
    code = _run(order["module"]) if _is_current(Path(order["root"])) else _run_apart(sys.argv)
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


def _is_current(root: Path) -> bool:
    """Whether the caller's code is what this server has imported, and will import for it."""
    sources = importlib.import_module("stages.running.sources")
    own: dict[Path, bytes] = {}
    if root != sources.ROOT:
        files = (path for path in (sources.ROOT / "stages").rglob("*") if path.is_file())
        own = {path: path.read_bytes() for path in files if path.parent.name != "__pycache__"}
    own |= sources.LOADED  # which may be older than the file
    theirs = ((root / path.relative_to(sources.ROOT), source) for path, source in own.items())
    return all(file.is_file() and file.read_bytes() == source for file, source in theirs)


def _run_apart(command: list[str]) -> int:
    """Run a module in a process that imports everything itself; its exit code."""
    done = subprocess.run([sys.executable, "-m", *command], check=False)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _run(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if isinstance(error.code, int | None):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException as error:  # as the interpreter would
        code: int = importlib.import_module("stages").exit_code_of(error)
        return code
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

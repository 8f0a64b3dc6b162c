"""The steps of the method; importing any settles what libraries read from the environment.

It then hands a step that was started as a command over to a process that has its libraries loaded
already, where there is one: `flows/warm.py` is the other side. On a small model the imports of
vLLM, torch and Great Expectations take longer than the work. Where `KNOWHOW_WARM` names the socket
of a warm server, `python -m stages.<step>` sends it the command, environment, working directory and
standard streams; the server forks, and the fork runs the step. What is computed is the same; only
the imports are saved, so this has to come before them. A chain of steps, `experiments.chain`, is
handed over in the same way.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import TracebackType

from stages.running import errors, sources

# Two spinning thread pools on two cores collapse; nothing is downloaded; nothing is reported home.
for _name, _value in {
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
}.items():
    os.environ.setdefault(_name, _value)

SOCKET = "KNOWHOW_WARM"
HASH_SEED = "0"
MODULES = ("stages.", "experiments.chain")
"""What is handed over: a step, or all steps of a chain."""
IS_STEP = (
    sys.orig_argv[1:2] == ["-m"] and sys.orig_argv[2].startswith(MODULES) and len(sys.orig_argv) > 3
)


def hand_over() -> None:
    """Let the warm server run this command and exit as it did.

    Returns where there is no server for it.
    """
    path = os.environ.get(SOCKET, "")
    if (
        not IS_STEP
        or not path
        or os.environ.get("PYTHONHASHSEED", HASH_SEED) != HASH_SEED
        or not Path(path).exists()
    ):
        return
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(path)
        except OSError:
            return
        environment = {name: value for name, value in os.environ.items() if name != SOCKET}
        order = {
            "module": sys.orig_argv[2],
            "arguments": sys.orig_argv[3:],
            "cwd": os.getcwd(),
            "root": str(sources.ROOT),
            "env": environment,
        }
        payload = json.dumps(order).encode()
        socket.send_fds(server, [len(payload).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(payload)
        code = server.recv(1)
    # Without a word the step was killed: by the kernel for memory, or by hand.
    os._exit(code[0] if code else 128 + signal.SIGKILL)


def exit_code_of(error: BaseException) -> int:
    """Tell of an error that nobody handled; what a step ends with."""
    sys.__excepthook__(type(error), error, error.__traceback__)
    lack = errors.lack_of(error)
    if lack is None:
        return 1
    print(f"error: {lack}", file=sys.stderr, flush=True)
    return errors.EXIT_MACHINE


def end_with(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End a step by an error that nobody handled."""
    if (code := exit_code_of(error)) == errors.EXIT_MACHINE:
        sys.stdout.flush()
        os._exit(code)


hand_over()
sources.remember()
if IS_STEP:
    sys.excepthook = end_with

"""What a verifier's worker process gives up before it sees what a policy wrote.

It cannot be taken back: a process that is confined stays so.
"""

import math
import os
import resource
import signal
import sys
import time
from typing import Any

MEMORY_BYTES = 2**30
REFUSED_EVENTS = ("os.", "subprocess.", "shutil.", "socket.", "ctypes.", "pty.", "fcntl.", "mmap.")
IMPORT_EVENTS = ("os.listdir", "os.scandir")
OUT_OF_TIME = (-signal.SIGPROF, -signal.SIGXCPU)
"""How a process ends whose processor time is used up, as its parent sees it."""
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC


def confine() -> None:
    """Give up memory beyond `MEMORY_BYTES` more, writing files, processes, and the network."""
    with open("/proc/self/statm", encoding="ascii") as statistics:
        size_bytes = int(statistics.read().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, size_bytes + MEMORY_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    os.dup2(1, 2)  # what verifiers print of hostile text is nobody's business
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what no verifier needs.

    RLIMIT_NPROC does not bind root, and no limit binds deletion.
    """
    is_refused = event.startswith(REFUSED_EVENTS) and event not in IMPORT_EVENTS
    is_writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITE_FLAGS
    if is_refused or is_writing:
        raise PermissionError(f"{event} is refused to verifiers")


def limit_processor(timeout_seconds: float) -> None:
    """Bound the processor time of one submission: at its end SIGPROF kills the process.

    A computation in C does not put it off. Processor time is the text's own doing; how long it
    takes on the wall is the machine's. RLIMIT_CPU, in whole seconds, stands behind.
    """
    signal.setitimer(signal.ITIMER_PROF, timeout_seconds)
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + timeout_seconds) + 1)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))

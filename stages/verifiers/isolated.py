"""Judge answers in worker processes that may hang, crash or fill memory: what a policy writes is
hostile input.

A worker is a fresh interpreter that imports the verifier and nothing of its parent, which may hold
a whole inference engine. It answers request by request and lives until one hangs or kills it: that
one is known, and is alone in its `timeout` or `error`. Limits contain accidents: memory, processor
time, files, processes, network. They are no sandbox against a determined attacker: a verifier must
never evaluate what it judges.
"""

import ctypes
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, NamedTuple

from stages.contracts.params.task import TaskParams
from stages.contracts.verdict import Judgement, Verdict
from stages.running.errors import MachineFailure
from stages.tasks.task import Problem
from stages.verifiers.registry import load_verifier, need_verifier

TIMEOUT_SECONDS = 5.0
START_SECONDS = 120.0
MEMORY_BYTES = 2**30
CHUNK_REQUESTS = 64
MAX_WORKERS = 64
MAX_REPLY_BYTES = 64
PROGRAM = "import sys; from stages.verifiers.isolated import work; work(int(sys.argv[1]))"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
REFUSED_EVENTS = ("os.", "subprocess.", "shutil.", "socket.", "ctypes.", "pty.", "fcntl.", "mmap.")
IMPORT_EVENTS = ("os.listdir", "os.scandir")
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC


class Request(NamedTuple):
    """A text to judge: an answer, or with `is_attempt` a thinking segment."""

    problem: Problem
    text: str
    is_attempt: bool


Judge = Callable[[Request], Verdict | Judgement | None]


def judge(
    task_params: TaskParams,
    requests: Sequence[Request],
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_judged: Callable[[int], object] = lambda count: None,
) -> list[Verdict | None]:
    """The verdict of each request, in order; None for a segment in which the verifier sees no
    attempt.

    A request that takes longer than `timeout_seconds` is a `timeout`; one that raises or kills its
    worker, an `error`. `on_judged` is told how many more requests are done.

    Raises:
        BadInput: params.yaml chooses a verifier that cannot be used.
        MachineFailure: a worker does not start.
    """
    need_verifier(task_params)
    return judge_with(partial(_load_judge, task_params), requests, timeout_seconds, on_judged)


def judge_with(
    load: Callable[[], Judge],
    requests: Sequence[Request],
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_judged: Callable[[int], object] = lambda count: None,
) -> list[Verdict | None]:
    """`judge` by the function that `load`, which must be picklable, returns inside each worker."""
    with Pool(load, timeout_seconds) as pool:
        return [judged and judged.verdict for judged in pool.judge(requests, on_judged)]


def open_pool(task_params: TaskParams) -> "Pool":
    """Workers of a task's verifier, for requests that come a batch at a time."""
    need_verifier(task_params)
    return Pool(partial(_load_judge, task_params), TIMEOUT_SECONDS)


class Pool:
    """Worker processes that are kept from one batch of requests to the next.

    A context: its end stops them.
    """

    def __init__(self, load: Callable[[], Judge], timeout_seconds: float) -> None:
        num_workers = min(_num_cores(), MAX_WORKERS)
        self._workers = [_Worker(load, timeout_seconds) for _ in range(num_workers)]
        # a worker dies with the thread that started it (PR_SET_PDEATHSIG): threads live as long
        self._threads = ThreadPoolExecutor(len(self._workers))

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.stop()

    def judge(
        self, requests: Sequence[Request], on_judged: Callable[[int], object] = lambda count: None
    ) -> list[Judgement | None]:
        """The verdict of each request, as `judge` tells, and what its answer earns.

        Raises:
            MachineFailure: a worker does not start.
        """
        chunks = [
            requests[start : start + CHUNK_REQUESTS]
            for start in range(0, len(requests), CHUNK_REQUESTS)
        ]
        idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            idle.put(worker)

        def judge_chunk(chunk: Sequence[Request]) -> list[Judgement | None]:
            worker = idle.get()
            try:
                return worker.judge(chunk)
            finally:
                idle.put(worker)

        judgements: list[Judgement | None] = []
        for judged in self._threads.map(judge_chunk, chunks):
            judgements += judged
            on_judged(len(judged))
        return judgements


class _Worker:
    """A worker process as its parent sees it, started when first needed and again after each one
    that was lost.
    """

    def __init__(self, load: Callable[[], Judge], timeout_seconds: float) -> None:
        self._load = load
        self._timeout_seconds = timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def judge(self, requests: Sequence[Request]) -> list[Judgement | None]:
        """The judgement of each request; after one that loses the process, a new one goes on with
        the next.
        """
        judgements: list[Judgement | None] = []
        while len(judgements) < len(requests):
            if self._process is None:
                self._start()
            judgements += self._judge_until_lost(requests[len(judgements) :])
        return judgements

    def _judge_until_lost(self, requests: Sequence[Request]) -> Iterator[Judgement | None]:
        try:
            self._connection.send(requests)
            for _ in requests:
                if not self._connection.poll(self._timeout_seconds):
                    self.stop()
                    yield Judgement(Verdict.TIMEOUT, None)
                    return
                yield _judgement(self._connection.recv_bytes(MAX_REPLY_BYTES).decode())
        except (OSError, EOFError, ValueError):
            self.stop()
            yield Judgement(Verdict.ERROR, None)

    def stop(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._connection.close()
            self._process = None

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  this program alone, nothing a policy wrote
                [sys.executable, "-c", PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
            )
        try:
            self._connection.send((self._load, self._timeout_seconds))
            if self._connection.poll(START_SECONDS):
                self._connection.recv_bytes(MAX_REPLY_BYTES)
                return
        except (OSError, EOFError):
            pass
        self.stop()
        raise MachineFailure(
            "a verifier's worker process did not start; its own message stands above"
        )


def work(descriptor: int) -> None:
    """What a worker process does: judge the requests that come over a connection until it closes."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    connection = Connection(descriptor)
    load, timeout_seconds = connection.recv()
    judge_request = load()
    _confine()
    connection.send_bytes(b"ready")
    while True:
        try:
            requests = connection.recv()
        except EOFError:
            return
        for request in requests:
            _limit_processor(timeout_seconds)
            connection.send_bytes(_reply(judge_request, request).encode())


def _reply(judge_request: Judge, request: Request) -> str:
    """A verdict, behind it the reward where it is not the verdict's own; nothing where there is no
    attempt.
    """
    try:
        found = judge_request(request)
    except BaseException:  # SystemExit too: it is what the text made the verifier do
        return Verdict.ERROR
    return f"{found.verdict} {found.reward!r}" if isinstance(found, Judgement) else found or ""


def _judgement(reply: str) -> Judgement | None:
    """What a reply says.

    Raises:
        ValueError: no such verdict, or a reward that is not a wrong answer's part.
    """
    if not reply:
        return None
    verdict, _, part = reply.partition(" ")
    if not part:
        return Judgement(Verdict(verdict), Verdict(verdict).reward)
    if Verdict(verdict) is not Verdict.INCORRECT or not 0 <= float(part) < 1:
        raise ValueError(f"{verdict} earns no {part}")
    return Judgement(Verdict.INCORRECT, float(part))


def _confine() -> None:
    """Give up memory beyond `MEMORY_BYTES` more, writing files, starting processes, and the
    network.
    """
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


def _limit_processor(timeout_seconds: float) -> None:
    """Bound the processor time of one request, should the parent be stopped and unable to kill."""
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + timeout_seconds) + 1)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _load_judge(task_params: TaskParams) -> Judge:
    verifier = load_verifier(task_params)

    def judge_request(request: Request) -> Verdict | Judgement | None:
        look = verifier.verify_attempt if request.is_attempt else verifier.verify
        return look(request.problem.metadata, request.text)

    return judge_request


def _num_cores() -> int:
    return len(os.sched_getaffinity(0))

"""Verify answers in worker processes that may hang, crash or fill memory.

What a policy writes is hostile input. A worker is a fresh interpreter that imports the verifier and
nothing of its parent, which may hold a whole inference engine. It answers submission by submission
and lives until one hangs or kills it: that one is known, and is alone in its `timeout` or `error`.
A verdict does not depend on how busy the machine is: what is limited is the processor time of one
submission, and a worker judges its first problem's own reference answer before any counts. Wall
time is asked of sleepers alone, who use no processor. Limits contain accidents
(`stages.verifiers.confinement`): memory, processor time, files, processes, network. They are no
sandbox against a determined attacker: a verifier must never evaluate what it verifies.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import NamedTuple

from stages.contracts.params.task import TaskParams
from stages.contracts.verdict import Verdict, Verification
from stages.running.errors import MachineFailure
from stages.tasks.task import Problem
from stages.verifiers.confinement import OUT_OF_TIME, confine, limit_processor
from stages.verifiers.processes import ended_by, processor_seconds
from stages.verifiers.registry import load_verifier, need_verifier

TIMEOUT_SECONDS = 5.0
"""Processor time that one submission may take."""
STALL_SECONDS = 20.0
LEAST_BUSY_FRAC = 0.005
"""Who has used less than this part of a core over `STALL_SECONDS` sleeps, and is killed too."""
START_SECONDS = 120.0
CHUNK_SUBMISSIONS = 64
MAX_WORKERS = 64
MAX_REPLY_BYTES = 64
PROGRAM = "import sys; from stages.verifiers.isolated import work; work(int(sys.argv[1]))"
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Submission(NamedTuple):
    """A text to verify: an answer, or with `is_attempt` a thinking segment."""

    problem: Problem
    text: str
    is_attempt: bool


Verify = Callable[[Submission], Verdict | Verification | None]


def verify(
    task_params: TaskParams,
    submissions: Sequence[Submission],
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_verified: Callable[[int], object] = lambda count: None,
) -> list[Verdict | None]:
    """The verdict of each submission, in order; None for a segment in which no attempt is seen.

    A submission that takes more than `timeout_seconds` of processor time, or sleeps, is a
    `timeout`; one that raises or kills its worker, an `error`. `on_verified` is called with how
    many more submissions are done.

    Raises:
        BadInput: params.yaml chooses a verifier that cannot be used.
        MachineFailure: a worker does not start.
    """
    need_verifier(task_params)
    return verify_with(
        partial(_load_verify, task_params), submissions, timeout_seconds, on_verified
    )


def verify_with(
    load: Callable[[], Verify],
    submissions: Sequence[Submission],
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_verified: Callable[[int], object] = lambda count: None,
) -> list[Verdict | None]:
    """`verify` by the function that `load`, which must be picklable, returns inside each worker."""
    with VerifierWorkers(load, timeout_seconds) as pool:
        return [verified and verified.verdict for verified in pool.verify(submissions, on_verified)]


def open_verifiers(task_params: TaskParams) -> "VerifierWorkers":
    """Workers of a task's verifier, for submissions that come a batch at a time."""
    need_verifier(task_params)
    return VerifierWorkers(partial(_load_verify, task_params), TIMEOUT_SECONDS)


class VerifierWorkers:
    """Worker processes that are kept from one batch of submissions to the next.

    A context: its end stops them.
    """

    def __init__(self, load: Callable[[], Verify], timeout_seconds: float) -> None:
        num_workers = min(len(os.sched_getaffinity(0)), MAX_WORKERS)
        self._workers = [_Worker(load, timeout_seconds) for _ in range(num_workers)]
        # a worker dies with the thread that started it (PR_SET_PDEATHSIG): threads live as long
        self._threads = ThreadPoolExecutor(len(self._workers))

    def __enter__(self) -> "VerifierWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.stop()

    def verify(
        self,
        submissions: Sequence[Submission],
        on_verified: Callable[[int], object] = lambda count: None,
    ) -> list[Verification | None]:
        """The verdict of each submission, as `verify` tells, and what its answer earns.

        Raises:
            MachineFailure: a worker does not start.
        """
        chunks = [
            submissions[start : start + CHUNK_SUBMISSIONS]
            for start in range(0, len(submissions), CHUNK_SUBMISSIONS)
        ]
        idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            idle.put(worker)

        def verify_chunk(chunk: Sequence[Submission]) -> list[Verification | None]:
            worker = idle.get()
            try:
                return worker.verify(chunk)
            finally:
                idle.put(worker)

        verifications: list[Verification | None] = []
        for verified in self._threads.map(verify_chunk, chunks):
            verifications += verified
            on_verified(len(verified))
        return verifications


class _Worker:
    """A worker process as its parent sees it, started when needed and again after one was lost."""

    def __init__(self, load: Callable[[], Verify], timeout_seconds: float) -> None:
        self._load = load
        self._timeout_seconds = timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def verify(self, submissions: Sequence[Submission]) -> list[Verification | None]:
        """The verification of each submission.

        After one that loses the process, a new one goes on with the next.
        """
        verifications: list[Verification | None] = []
        while len(verifications) < len(submissions):
            if self._process is None:
                self._start()
            verifications += self._verify_until_lost(submissions[len(verifications) :])
        return verifications

    def _verify_until_lost(
        self, submissions: Sequence[Submission]
    ) -> Iterator[Verification | None]:
        try:
            self._connection.send(submissions)
            for _ in submissions:
                if not self._has_replied():
                    self.stop()
                    yield Verification(Verdict.TIMEOUT, None)
                    return
                yield _verification(self._connection.recv_bytes(MAX_REPLY_BYTES).decode())
        except (OSError, EOFError, ValueError) as error:
            is_late = not isinstance(error, ValueError) and self._is_out_of_time()
            self.stop()
            yield Verification(Verdict.TIMEOUT if is_late else Verdict.ERROR, None)

    def _has_replied(self) -> bool:
        """Wait for a reply, or for the connection's end, as long as the process is at work.

        A process at work ends by itself when its processor time is used up.
        """
        assert self._process is not None
        used_seconds = processor_seconds(self._process)
        while not self._connection.poll(STALL_SECONDS):
            before, used_seconds = used_seconds, processor_seconds(self._process)
            if used_seconds - before < LEAST_BUSY_FRAC * STALL_SECONDS:
                return False
        return True

    def _is_out_of_time(self) -> bool:
        return self._process is not None and ended_by(self._process, OUT_OF_TIME)

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
    """What a worker does: verify the submissions that come over a connection until it closes."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    connection = Connection(descriptor)
    load, timeout_seconds = connection.recv()
    verify_one = load()
    confine()
    connection.send_bytes(b"ready")
    is_warm = False
    while True:
        try:
            submissions = connection.recv()
        except EOFError:
            return
        if not is_warm:
            _warm_up(verify_one, submissions[0].problem)
            is_warm = True
        for submission in submissions:
            limit_processor(timeout_seconds)
            connection.send_bytes(_reply(verify_one, submission).encode())


def _warm_up(verify_one: Verify, problem: Problem) -> None:
    """Judge a reference answer for nothing: what is imported at the first is no answer's time."""
    limit_processor(START_SECONDS)
    _reply(verify_one, Submission(problem, problem.answer, is_attempt=False))


def _reply(verify_one: Verify, submission: Submission) -> str:
    """A verdict, behind it the reward where it is not the verdict's own; nothing for no attempt."""
    try:
        verified = verify_one(submission)
    except BaseException:  # SystemExit too: it is what the text made the verifier do
        return Verdict.ERROR
    return (
        f"{verified.verdict} {verified.reward!r}"
        if isinstance(verified, Verification)
        else verified or ""
    )


def _verification(reply: str) -> Verification | None:
    """What a reply says.

    Raises:
        ValueError: no such verdict, or a reward that is not a wrong answer's part.
    """
    if not reply:
        return None
    verdict, _, part = reply.partition(" ")
    if not part:
        return Verification(Verdict(verdict), Verdict(verdict).reward)
    if Verdict(verdict) is not Verdict.INCORRECT or not 0 <= float(part) < 1:
        raise ValueError(f"{verdict} earns no {part}")
    return Verification(Verdict.INCORRECT, float(part))


def _load_verify(task_params: TaskParams) -> Verify:
    verifier = load_verifier(task_params)

    def verify_one(submission: Submission) -> Verdict | Verification | None:
        look = verifier.verify_attempt if submission.is_attempt else verifier.verify
        return look(submission.problem.metadata, submission.text)

    return verify_one

"""Verifying in killable workers: what a text can do to one, and to no other nor the machine."""

import faulthandler
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from fixtures.tasks import countdown_task
from stages.contracts.params.task import DatasetTask
from stages.contracts.verdict import Verdict, Verification
from stages.running.errors import MachineFailure
from stages.tasks.task import Problem
from stages.verifiers import isolated
from stages.verifiers.isolated import (
    CHUNK_SUBMISSIONS,
    STALL_SECONDS,
    Submission,
    Verify,
    _Worker,
    open_verifiers,
    verify,
    verify_with,
)

COUNTDOWN = countdown_task()
PROBLEM = Problem("countdown:3-5-7>36", "train", 3, "", "", {"numbers": [3, 5, 7], "target": 36}, 0)
RIGHT = "7 + 5 12 12 * 3 36"
TIMEOUT_SECONDS = 0.5
NUM_MANY = 2 * CHUNK_SUBMISSIONS + 5


def load_fake() -> Verify:
    """A verifier that does what a text says."""
    return lambda request: DEEDS[request.text]()


def load_slow_at_first() -> Verify:
    """A verifier whose first answer takes more than the limit, whatever it is."""
    starts = [3 * TIMEOUT_SECONDS]

    def verify_one(request: Submission) -> Verdict:
        work_for(starts.pop() if starts else 0.0)
        return Verdict(request.text)

    return verify_one


def load_broken() -> Verify:
    raise RuntimeError("no such verifier")


def correct() -> Verdict:
    return Verdict.CORRECT


def work_for(seconds: float) -> Verdict:
    """Use this much processor time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return Verdict.CORRECT


def hang_in_python() -> Verdict:
    while True:
        pass


def hang_in_c() -> Verdict:
    return Verdict(str(9**9**9**9))


def recurse() -> Verdict:
    return recurse()


def fill_memory() -> Verdict:
    blocks = []
    while True:
        blocks.append(bytes(2**28))


def shut_down() -> Verdict:
    raise SystemExit(0)


def kill_parent() -> Verdict:
    os.kill(os.getppid(), signal.SIGKILL)
    return correct()


def connect() -> Verdict:
    socket.create_connection(("127.0.0.1", 9))
    return correct()


def start_process() -> Verdict:
    subprocess.run(["true"], check=True)
    return correct()


def fork() -> Verdict:
    os.fork()
    return correct()


def overwrite() -> Verdict:
    Path(__file__).open("a").close()
    return correct()


def delete() -> Verdict:
    shutil.rmtree(Path(__file__).parent / "no-such-folder")
    return correct()


DEEDS: dict[str, Callable[[], Verdict | Verification | None]] = {
    "correct": correct,
    "incorrect": lambda: Verdict.INCORRECT,
    "partly right": lambda: Verification(Verdict.INCORRECT, 1 / 3),
    "pay too much": lambda: Verification(Verdict.INCORRECT, 1.0),
    "pay less than nothing": lambda: Verification(Verdict.INCORRECT, -1.0),
    "pay no number": lambda: Verification(Verdict.INCORRECT, float("nan")),
    "pay a part of what is right": lambda: Verification(Verdict.CORRECT, 0.5),
    "pay where it failed": lambda: Verification(Verdict.TIMEOUT, 0.5),
    "no attempt": lambda: None,
    "work": lambda: work_for(TIMEOUT_SECONDS / 2),
    "hang in python": hang_in_python,
    "hang in C": hang_in_c,
    "sleep": lambda: time.sleep(60),
    "raise": lambda: Verdict("what"),
    "recurse": recurse,
    "fill memory": fill_memory,
    "shut down": shut_down,
    "exit 0": lambda: os._exit(0),
    "exit 1": lambda: os._exit(1),
    "segfault": lambda: faulthandler._sigsegv(),
    "abort": lambda: faulthandler._sigabrt(),
    "be killed": lambda: signal.raise_signal(signal.SIGKILL),
    "kill parent": kill_parent,
    "connect": connect,
    "start process": start_process,
    "fork": fork,
    "overwrite": overwrite,
    "delete": delete,
}
HANGS = ("hang in python", "hang in C", "sleep")
CRASHES = tuple(
    deed
    for deed in DEEDS
    if deed not in ("correct", "incorrect", "partly right", "no attempt", "work", *HANGS)
)


def submissions(*texts: str) -> list[Submission]:
    return [Submission(PROBLEM, text, is_attempt=False) for text in texts]


@pytest.fixture(autouse=True)
def short_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sleepers are found out sooner than anyone should ask of a busy machine."""
    monkeypatch.setattr(isolated, "STALL_SECONDS", TIMEOUT_SECONDS)


@pytest.fixture(scope="module")
def shared_worker() -> Iterator[_Worker]:
    worker = _Worker(load_fake, TIMEOUT_SECONDS)
    yield worker
    worker.stop()


@pytest.fixture
def worker(shared_worker: _Worker) -> _Worker:
    """A worker of the fake verifier, past its start."""
    assert shared_worker.verify(submissions("correct")) == [(Verdict.CORRECT, 1)]
    return shared_worker


def test_verdicts_keep_the_order_of_requests() -> None:
    texts = ["correct", "incorrect", "no attempt"] * NUM_MANY
    expected = [Verdict.CORRECT, Verdict.INCORRECT, None] * NUM_MANY
    counts: list[int] = []
    assert verify_with(load_fake, submissions(*texts), TIMEOUT_SECONDS, counts.append) == expected
    assert sum(counts) == len(texts)


def test_a_reward_is_the_verdicts_or_what_the_verifier_says(worker: _Worker) -> None:
    texts = ["correct", "partly right", "incorrect", "no attempt", "raise"]
    expected = [
        (Verdict.CORRECT, 1),
        (Verdict.INCORRECT, 1 / 3),
        (Verdict.INCORRECT, 0),
        None,
        (Verdict.ERROR, None),
    ]
    assert worker.verify(submissions(*texts)) == expected


def test_nothing_to_judge_is_no_work() -> None:
    assert verify_with(load_broken, []) == []


def test_answers_and_attempts_go_to_their_own_methods() -> None:
    """A mathematical text has answers, and no attempts that its verifier could see."""
    problem = Problem("sum", "train", 1, "", "12", {"answer": "12"}, 0)
    requests = [Submission(problem, "12", is_attempt) for is_attempt in (False, True)]
    assert verify(DatasetTask.model_construct(), requests) == [Verdict.CORRECT, None]


@pytest.mark.parametrize("deed", HANGS)
def test_a_hang_is_killed_at_its_limit(worker: _Worker, deed: str) -> None:
    begin, before = time.monotonic(), _children_seconds()
    assert worker.verify(submissions(deed)) == [(Verdict.TIMEOUT, None)]
    assert time.monotonic() - begin >= TIMEOUT_SECONDS
    if deed != "sleep":  # of all that the worker used, its start too: no wall time, the machine's
        assert _children_seconds() - before < TIMEOUT_SECONDS + 10


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_who_is_slow_by_no_fault_of_its_own_is_waited_for(
    worker: _Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that gets a tenth of a core takes ten times as long on the wall, and is right."""
    monkeypatch.setattr(isolated, "STALL_SECONDS", 4 * TIMEOUT_SECONDS)
    process = psutil.Process(worker._process.pid if worker._process else 0)
    with ThreadPoolExecutor(1) as pool:
        verified = pool.submit(worker.verify, submissions("work"))
        while not verified.done():
            process.suspend()
            time.sleep(0.18)
            process.resume()
            time.sleep(0.02)
    assert verified.result() == [(Verdict.CORRECT, 1)]


def test_a_worker_is_warm_before_it_is_timed() -> None:
    """What a first answer takes, and no later one, costs no answer its verdict."""
    problem = Problem("p", "train", 1, "", "reference", {}, 0)
    requests = [Submission(problem, "correct", is_attempt=False)]
    assert verify_with(load_slow_at_first, requests, TIMEOUT_SECONDS) == [Verdict.CORRECT]


def test_a_sleeper_is_given_more_than_the_slowest_machine_takes() -> None:
    assert STALL_SECONDS >= 10 > isolated.TIMEOUT_SECONDS


@pytest.mark.parametrize("deed", CRASHES)
def test_a_crash_or_a_refused_deed_is_an_error(worker: _Worker, deed: str) -> None:
    assert worker.verify(submissions(deed)) == [(Verdict.ERROR, None)]


def test_only_the_guilty_lose_their_verdict() -> None:
    texts = ["correct"] * NUM_MANY
    texts[3] = texts[4] = texts[-1] = "exit 0"
    texts[7] = texts[CHUNK_SUBMISSIONS] = "sleep"
    bad = {"exit 0": Verdict.ERROR, "sleep": Verdict.TIMEOUT}
    verdicts = verify_with(load_fake, submissions(*texts), TIMEOUT_SECONDS)
    assert verdicts == [bad.get(text, Verdict.CORRECT) for text in texts]


def test_a_worker_that_cannot_start_is_a_machine_failure_and_says_why(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(MachineFailure, match="did not start"):
        verify_with(load_broken, submissions("correct"))
    assert "no such verifier" in capfd.readouterr().err


def test_no_process_stays_behind() -> None:
    before = psutil.Process().children()
    verify_with(load_fake, submissions("correct", "sleep"), TIMEOUT_SECONDS)
    assert psutil.Process().children() == before


def test_workers_die_with_their_parent() -> None:
    program = (
        "import sys, test_isolated as t\n"
        "worker = t._Worker(t.load_fake, 60.0)\n"
        "worker.verify(t.submissions('correct'))\n"
        "print(worker._process.pid, flush=True)\n"
        "worker.verify(t.submissions('sleep'))\n"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])
    }
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        process = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    gone, alive = psutil.wait_procs([process], timeout=5)
    assert [gone, alive] == [[process], []]


def test_a_pools_workers_live_from_batch_to_batch() -> None:
    requests = [Submission(PROBLEM, RIGHT, False)] * NUM_MANY
    with open_verifiers(COUNTDOWN) as pool:
        first = pool.verify(requests)
        started = {child.pid for child in psutil.Process().children() if child.is_running()}
        assert (
            pool.verify(requests)
            == pool.verify(requests[:1]) * NUM_MANY
            == first
            == [(Verdict.CORRECT, 1)] * NUM_MANY
        )
        assert {child.pid for child in psutil.Process().children() if child.is_running()} <= started

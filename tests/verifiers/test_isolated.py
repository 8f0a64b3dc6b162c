"""Judging in killable workers: what a text can do to one, and what it cannot do to the others or to the machine."""

import faulthandler
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from stages.contracts.errors import MachineFailure
from stages.contracts.task_params import CountdownTask, CountdownTier, ReasoningGymTask, ReasoningGymTier, TrainedText
from stages.tasks.reasoning_gym import ReasoningGym
from stages.tasks.task import Problem
from stages.verifiers.isolated import CHUNK_REQUESTS, Judge, Request, _Worker, judge, judge_with
from stages.verifiers.verdict import Verdict

COUNTDOWN = CountdownTask(
    name="countdown",
    seed=1,
    max_number=12,
    max_result=99,
    heldout_bucket=0,
    tiers=[CountdownTier(num_numbers=3, num_train=1, num_heldout=1)],
)
PROBLEM = Problem("countdown:3-5-7>36", "train", 3, "", "", {"numbers": [3, 5, 7], "target": 36}, 0)
RIGHT = "7 + 5 12 12 * 3 36"
TIMEOUT_SECONDS = 0.5
NUM_MANY = 2 * CHUNK_REQUESTS + 5

HOSTILE = (
    # huge numbers and powers
    "9 ** 9 ** 9 ** 9",
    "9**9**9**9",
    "9 ^ 9 ^ 9 ^ 9",
    "9 * 9 99999999999999999999",
    "7 + 5 1e400",
    "factorial(10**9)",
    "9!" * 1000,
    "9" * 1_000_000,
    "9" * 5_000_000 + " + 1 2",
    "-" * 100_000 + "1",
    "1 + " * 100_000 + "1",
    "7 + 5 12 " * 50_000,
    "0x" + "f" * 100_000,
    "1_0 * 3 30",
    "inf",
    "nan",
    "1e309",
    "0 / 0 0",
    "7 / 0 36",
    # deep nesting
    "(" * 100_000,
    "(" * 50_000 + "24" + ")" * 50_000,
    "[" * 100_000 + "]" * 100_000,
    "{'a':" * 50_000,
    "lambda: " * 10_000 + "1",
    "f(" * 10_000 + ")" * 10_000,
    "not " * 50_000 + "1",
    # control characters
    "\x00",
    "7 + 5 12\x00 12 * 3 36",
    RIGHT + "\x00",
    "\x00" * 100_000,
    "\x1b[2J\x1b[H" + RIGHT,
    "\x07\x08\x7f",
    "\u202e" + RIGHT,
    "\ufeff" + RIGHT,
    "7\u200b + 5 12 12 * 3 36",
    "\ud800",
    "\U0010ffff" * 1000,
    "a\u0301" * 10_000,
    # look-alikes
    "７ + ５ １２ １２ * ３ ３６",
    "٧ + ٥ ١٢ ١٢ * ٣ ٣٦",
    "7 ＋ 5 12 12 ＊ 3 36",
    "7 + 5 12 12 × 3 36",
    "7 + 5 12 12 ∗ 3 36",
    "⁷ + ⁵ ¹² ¹² * ³ ³⁶",
    "⑦ + ⑤ ⑫ ⑫ * ③ ㊱",
    "𝟕 + 𝟓 𝟏𝟐 𝟏𝟐 * 𝟑 𝟑𝟔",
    "Ⅶ + Ⅴ Ⅻ Ⅻ * Ⅲ 36",
    # code
    "__import__('os').system('touch {canary}')",
    "open('{canary}', 'w').write('x')",
    "[open('{canary}', 'w')]",
    "exec(\"import os; os.system('touch {canary}')\")",
    "eval(\"open('{canary}', 'w')\")",
    "().__class__.__bases__[0].__subclasses__()",
    "import os; os._exit(0)",
    "exit()",
    "quit(0)",
    "print('correct')",
    "breakpoint()",
    "help()",
    "input()",
    "globals().update(score_answer=1)",
    "setattr(SpiralMatrixDataset, 'score_answer', lambda *_: 1.0)",
    "while True: pass",
    "[x for x in iter(int, 1)]",
    "'a' * 10 ** 12",
    "list(range(10 ** 12))",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/a}",
    "'; DROP TABLE problems; --",
    "<script>alert(1)</script>",
    # claims
    "correct",
    "Verdict.CORRECT",
    "36",
    "7 5 3 36",
    "36 + 0 36",
    "7 + 5 12 12 * 3 36 36 + 0 36",
    "# " + RIGHT,
    "",
    " \n\t",
)


def load_fake() -> Judge:
    """A verifier that does what a text says."""
    return lambda request: DEEDS[request.text]()


def load_broken() -> Judge:
    raise RuntimeError("no such verifier")


def correct() -> Verdict:
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


DEEDS: dict[str, Callable[[], Verdict | None]] = {
    "correct": correct,
    "incorrect": lambda: Verdict.INCORRECT,
    "no attempt": lambda: None,
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
CRASHES = tuple(deed for deed in DEEDS if deed not in ("correct", "incorrect", "no attempt", *HANGS))


def asked(*texts: str) -> list[Request]:
    return [Request(PROBLEM, text, is_attempt=False) for text in texts]


@pytest.fixture(scope="module")
def shared_worker() -> Iterator[_Worker]:
    worker = _Worker(load_fake, TIMEOUT_SECONDS)
    yield worker
    worker.stop()


@pytest.fixture
def worker(shared_worker: _Worker) -> _Worker:
    """A worker of the fake verifier, past its start."""
    assert shared_worker.judge(asked("correct")) == [Verdict.CORRECT]
    return shared_worker


def test_verdicts_keep_the_order_of_requests() -> None:
    texts = ["correct", "incorrect", "no attempt"] * NUM_MANY
    expected = [Verdict.CORRECT, Verdict.INCORRECT, None] * NUM_MANY
    counts: list[int] = []
    assert judge_with(load_fake, asked(*texts), TIMEOUT_SECONDS, counts.append) == expected
    assert sum(counts) == len(texts)


def test_nothing_to_judge_is_no_work() -> None:
    assert judge_with(load_broken, []) == []


def test_answers_and_attempts_go_to_their_own_methods() -> None:
    requests = [Request(PROBLEM, f"{RIGHT} <<", is_attempt) for is_attempt in (False, True)]
    assert judge(COUNTDOWN, requests) == [Verdict.UNPARSABLE, Verdict.CORRECT]


@pytest.mark.parametrize("deed", HANGS)
def test_a_hang_is_killed_at_its_limit(worker: _Worker, deed: str) -> None:
    begin = time.monotonic()
    assert worker.judge(asked(deed)) == [Verdict.TIMEOUT]
    assert TIMEOUT_SECONDS <= time.monotonic() - begin < TIMEOUT_SECONDS + 1


@pytest.mark.parametrize("deed", CRASHES)
def test_a_crash_or_a_refused_deed_is_an_error(worker: _Worker, deed: str) -> None:
    assert worker.judge(asked(deed)) == [Verdict.ERROR]


def test_only_the_guilty_lose_their_verdict() -> None:
    texts = ["correct"] * NUM_MANY
    texts[3] = texts[4] = texts[-1] = "exit 0"
    texts[7] = texts[CHUNK_REQUESTS] = "sleep"
    bad = {"exit 0": Verdict.ERROR, "sleep": Verdict.TIMEOUT}
    verdicts = judge_with(load_fake, asked(*texts), TIMEOUT_SECONDS)
    assert verdicts == [bad.get(text, Verdict.CORRECT) for text in texts]


def test_a_worker_that_cannot_start_is_a_machine_failure_and_says_why(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MachineFailure, match="did not start"):
        judge_with(load_broken, asked("correct"))
    assert "no such verifier" in capfd.readouterr().err


def test_no_process_stays_behind() -> None:
    before = psutil.Process().children()
    judge_with(load_fake, asked("correct", "sleep"), TIMEOUT_SECONDS)
    assert psutil.Process().children() == before


def test_workers_die_with_their_parent() -> None:
    program = (
        "import sys, test_isolated as t\n"
        "worker = t._Worker(t.load_fake, 60.0)\n"
        "worker.judge(t.asked('correct'))\n"
        "print(worker._process.pid, flush=True)\n"
        "worker.judge(t.asked('sleep'))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        process = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    gone, alive = psutil.wait_procs([process], timeout=5)
    assert [gone, alive] == [[process], []]


def test_hostile_answers_to_countdown_are_judged_and_wrong(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    texts = [text.replace("{canary}", str(canary)) for text in HOSTILE]
    requests = [Request(PROBLEM, text, is_attempt) for text in texts for is_attempt in (False, True)]
    assert set(judge(COUNTDOWN, requests)) == {Verdict.INCORRECT, Verdict.UNPARSABLE}
    assert not canary.exists()


@pytest.mark.parametrize("family", ["simple_integration", "spiral_matrix"])
def test_hostile_answers_to_families_that_evaluate_do_no_harm(tmp_path: Path, family: str) -> None:
    canary = tmp_path / "canary"
    tier = ReasoningGymTier(difficulty=0, num_train=1, num_heldout=1, config={})
    params = ReasoningGymTask(
        name="reasoning_gym", family=family, seed=1, text=TrainedText(kind="trained", vocabulary_size=300), tiers=[tier]
    )
    problem = next(ReasoningGym(params).problems())
    requests = [Request(problem, text.replace("{canary}", str(canary)), is_attempt=False) for text in HOSTILE]
    *verdicts, last = judge(params, [*requests, Request(problem, problem.answer, is_attempt=False)], 2.0)
    assert Verdict.CORRECT not in verdicts
    assert last is Verdict.CORRECT
    assert not canary.exists()


def test_there_are_enough_hostile_answers() -> None:
    assert len(set(HOSTILE)) >= 60

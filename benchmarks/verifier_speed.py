"""Answers verified per second in isolated workers, and by the same library in a plain loop.

Reads   nothing: Countdown problems and sums of fractions made on the spot, half of the answers
        right.
Writes  a table on stdout; with --out the figures as JSON.
Method  `loop` is what one would write by hand: `math_verify.verify(parse(gold), parse(answer))`
        with the library's own timeouts, which are signals and so need the main thread; for
        Countdown, which has no library, the verifier itself. `isolated` is
        `stages.verifiers.isolated.judge` with one worker and with two, bound to as many cores. The
        ways take turns; of their seconds the medians count. What workers take to start, one answer
        judged, is measured apart and left out of the rates.
Claim   none: isolation costs what the table says.

Example: python -m benchmarks.verifier_speed --repeats 5
"""

import os
import random
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import math_verify

from benchmarks import measuring
from fixtures.tasks import countdown_task, mathematics_task
from stages.contracts.params.task import TaskParams
from stages.contracts.verdict import Verdict
from stages.running.errors import command
from stages.running.publish import write_json
from stages.tasks.countdown import Countdown
from stages.tasks.task import Problem
from stages.verifiers.isolated import Submission, verify
from stages.verifiers.registry import load_verifier

Loop = Callable[[Sequence[Submission]], list[bool]]

GROUP_SIZE, MOST_WORKERS = 8, 2
COUNTDOWN = countdown_task(num_train=500)


class Rate(NamedTuple):
    """Median seconds of one way over the same answers, its start left out, and the start's own."""

    verifier: str
    way: str
    num_answers: int
    seconds: float
    start_seconds: float

    @property
    def answers_per_second(self) -> float:
        """Without the start."""
        return self.num_answers / self.seconds

    def as_json(self) -> dict[str, str | float]:
        """Its fields and the rate by name."""
        return {**self._asdict(), "answers_per_second": self.answers_per_second}


def main(
    num_math: int = 2000, num_countdown: int = 40_000, repeats: int = 5, out: Path | None = None
) -> None:
    """Judge the same answers every way, `repeats` times in turn."""
    math, countdown = math_requests(num_math), countdown_requests(num_countdown)
    rates = [
        *measure("math-verify", mathematics_task(), math, loop_math, repeats),
        *measure("expression", COUNTDOWN, countdown, loop_countdown, repeats),
    ]
    print(table(rates))
    if out is not None:
        write_json(out, [rate.as_json() for rate in rates])


def math_requests(num_answers: int) -> list[Submission]:
    """Groups of answers to a sum of two fractions, written as fractions and as decimals."""
    rng = random.Random(1)
    submissions: list[Submission] = []
    while len(submissions) < num_answers:
        one, other = (Fraction(rng.randint(1, 99), rng.randint(2, 9)) for _ in range(2))
        total = one + other
        gold = rf"\frac{{{total.numerator}}}{{{total.denominator}}}"
        problem = Problem("math", "train", 0, "", gold, {"answer": gold}, 0)
        wrong = rf"\frac{{{total.numerator + 1}}}{{{total.denominator}}}"
        texts = [gold, wrong, rf"\boxed{{{gold}}}", f"${total}$"] * (GROUP_SIZE // 4)
        submissions += [Submission(problem, text, is_attempt=False) for text in texts]
    return submissions[:num_answers]


def countdown_requests(num_answers: int) -> list[Submission]:
    """The reference answer of a problem and that of the next, which is wrong here."""
    once = []
    for problem, other in pairwise(Countdown(COUNTDOWN).problems()):
        for text in (problem.answer, other.answer):
            once.append(Submission(problem, text, is_attempt=False))
    return (once * (num_answers // len(once) + 1))[:num_answers]


def loop_math(submissions: Sequence[Submission]) -> list[bool]:
    """The library in a loop."""
    answers = []
    for submission in submissions:
        gold = math_verify.parse(f"${submission.problem.answer}$")
        answers.append(math_verify.verify(gold, math_verify.parse(_shown(submission.text))))
    return answers


def _shown(text: str) -> str:
    return text if "$" in text or "boxed" in text else f"${text}$"


def loop_countdown(submissions: Sequence[Submission]) -> list[bool]:
    """The verifier in a loop, for there is no library."""
    verifier = load_verifier(COUNTDOWN)
    return [verifier.verify(r.problem.metadata, r.text) is Verdict.CORRECT for r in submissions]


def measure(
    name: str,
    task: TaskParams,
    submissions: Sequence[Submission],
    loop: Callable[[Sequence[Submission]], list[bool]],
    repeats: int,
) -> list[Rate]:
    """Every way on the same answers, in turns; all must agree."""
    cores = sorted(os.sched_getaffinity(0))
    expected = loop(submissions)

    def isolated(given: Sequence[Submission]) -> list[bool]:
        return [verdict is Verdict.CORRECT for verdict in verify(task, given)]

    def timed(way: Loop, num_cores: int) -> tuple[float, float]:
        """Seconds of the start and of the rest."""
        os.sched_setaffinity(0, cores[:num_cores])
        begin = time.perf_counter()
        way(submissions[:1])
        start = time.perf_counter() - begin
        assert way(submissions) == expected, f"{name}: {way} disagrees with the loop"
        return start, time.perf_counter() - begin - 2 * start

    ways: dict[str, Callable[[], tuple[float, float]]] = {"loop": partial(timed, loop, 1)}
    for count in range(1, min(MOST_WORKERS, len(cores)) + 1):
        ways[f"isolated, {count} worker{'s' * (count > 1)}"] = partial(timed, isolated, count)
    rates = []
    for way, turns in measuring.take_turns(ways, repeats).items():
        start, seconds = measuring.medians([turn.result for turn in turns])
        rates.append(Rate(name, way, len(submissions), seconds, start))
    os.sched_setaffinity(0, cores)
    return rates


def table(rates: Sequence[Rate]) -> str:
    """A line a way, with its rate over that of the loop."""
    lines = []
    loops = {rate.verifier: rate.answers_per_second for rate in rates if rate.way == "loop"}
    for rate in rates:
        seconds = [f"{value:.2f}" for value in (rate.start_seconds, rate.seconds)]
        speed = f"{rate.answers_per_second:,.0f}"
        of_loop = f"{rate.answers_per_second / loops[rate.verifier]:.2f}"
        name = f"{rate.verifier}, {rate.way}"
        lines.append([name, f"{rate.num_answers:,}", *seconds, speed, of_loop])
    header = ("verifier", "answers", "start s", "seconds", "answers/s", "of the loop")
    return measuring.table(header, lines)


if __name__ == "__main__":
    command(main)

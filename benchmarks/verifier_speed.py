"""Answers judged a second in isolated workers, against calling the same library in a loop in this
process.

Reads   nothing: Countdown problems and sums of fractions made on the spot, half of the answers
        right.
Writes  a table on stdout; with --out the figures as JSON.
Method  `loop` is what one would write by hand: `math_verify.verify(parse(gold), parse(answer))`
        with the library's own timeouts, which are signals and so need the main thread; for
        Countdown, which has no library, the verifier itself. `isolated` is
        `stages.verifiers.isolated.judge` with one worker and with two, bound to as many cores. The
        ways take turns, so that a slow moment of the machine hits all; of their seconds the medians
        count. What workers take to start, one answer judged, is measured apart and left out of the
        rates.
Claim   none: isolation costs what the table says.

Example: python -m benchmarks.verifier_speed --repeats 5
"""

import os
import random
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import math_verify

from stages.contracts.params.task import CountdownTask, CountdownTier, DatasetTask, TaskParams
from stages.contracts.verdict import Verdict
from stages.running.errors import command
from stages.running.publish import write_json
from stages.tasks.countdown import Countdown
from stages.tasks.task import Problem
from stages.verifiers.isolated import Request, judge
from stages.verifiers.registry import load_verifier

Loop = Callable[[Sequence[Request]], list[bool]]

GROUP_SIZE = 8
COUNTDOWN = CountdownTask(
    name="countdown",
    seed=1,
    max_number=12,
    max_result=99,
    heldout_bucket=0,
    tiers=[CountdownTier(num_numbers=3, num_train=500, num_heldout=1)],
)
MATHEMATICS = DatasetTask.model_validate(
    {
        "name": "dataset",
        "path": "none.jsonl",
        "sha256": "0" * 64,
        "columns": {"question": "question", "answer": "answer"},
        "seed": 1,
        "text": {"kind": "trained", "vocabulary_size": 300},
        "max_question_characters": 100,
        "heldout_bucket": 0,
        "tiers": [{"difficulty": 0, "num_train": 1, "num_heldout": 1}],
    }
)


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


def main(
    num_math: int = 2000, num_countdown: int = 40_000, repeats: int = 5, out: Path | None = None
) -> None:
    """Judge the same answers every way, `repeats` times in turn."""
    rates = [
        *measure("math-verify", MATHEMATICS, math_requests(num_math), loop_math, repeats),
        *measure(
            "expression", COUNTDOWN, countdown_requests(num_countdown), loop_countdown, repeats
        ),
    ]
    print(table(rates))
    if out is not None:
        write_json(
            out,
            [{**rate._asdict(), "answers_per_second": rate.answers_per_second} for rate in rates],
        )


def math_requests(num_answers: int) -> list[Request]:
    """Groups of answers to a sum of two fractions, written as fractions and as decimals."""
    rng = random.Random(1)
    requests: list[Request] = []
    while len(requests) < num_answers:
        total = Fraction(rng.randint(1, 99), rng.randint(2, 9)) + Fraction(
            rng.randint(1, 99), rng.randint(2, 9)
        )
        gold = rf"\frac{{{total.numerator}}}{{{total.denominator}}}"
        problem = Problem("math", "train", 0, "", gold, {"answer": gold}, 0)
        wrong = rf"\frac{{{total.numerator + 1}}}{{{total.denominator}}}"
        texts = [gold, wrong, rf"\boxed{{{gold}}}", f"${total}$"] * (GROUP_SIZE // 4)
        requests += [Request(problem, text, is_attempt=False) for text in texts]
    return requests[:num_answers]


def countdown_requests(num_answers: int) -> list[Request]:
    """The reference answer of a problem and that of the next, which is wrong here."""
    problems = list(Countdown(COUNTDOWN).problems())
    pairs = pairwise(problems)
    once = [
        Request(p, text, is_attempt=False)
        for p, other in pairs
        for text in (p.answer, other.answer)
    ]
    return (once * (num_answers // len(once) + 1))[:num_answers]


def loop_math(requests: Sequence[Request]) -> list[bool]:
    """The library in a loop."""
    return [
        math_verify.verify(
            math_verify.parse(f"${r.problem.answer}$"), math_verify.parse(_shown(r.text))
        )
        for r in requests
    ]


def _shown(text: str) -> str:
    return text if "$" in text or "boxed" in text else f"${text}$"


def loop_countdown(requests: Sequence[Request]) -> list[bool]:
    """The verifier in a loop, for there is no library."""
    verifier = load_verifier(COUNTDOWN)
    return [verifier.verify(r.problem.metadata, r.text) is Verdict.CORRECT for r in requests]


def measure(
    name: str,
    task: TaskParams,
    requests: Sequence[Request],
    loop: Callable[[Sequence[Request]], list[bool]],
    repeats: int,
) -> list[Rate]:
    """Every way on the same answers, in turns; all must agree."""
    cores = sorted(os.sched_getaffinity(0))
    ways = {
        "loop": 0,
        **{
            f"isolated, {count} worker{'s' * (count > 1)}": count
            for count in (1, 2)
            if count <= len(cores)
        },
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    starts: dict[str, list[float]] = {way: [] for way in ways}
    expected = loop(requests)
    for _ in range(repeats):
        for way, num_workers in ways.items():
            os.sched_setaffinity(0, cores[: num_workers or 1])
            run = (
                loop
                if not num_workers
                else lambda asked: [v is Verdict.CORRECT for v in judge(task, asked)]
            )
            begin = time.perf_counter()
            run(requests[:1])
            middle = time.perf_counter()
            assert run(requests) == expected, f"{name}: {way} disagrees with the loop"
            starts[way].append(middle - begin)
            seconds[way].append(time.perf_counter() - middle - starts[way][-1])
    os.sched_setaffinity(0, cores)
    return [
        Rate(name, way, len(requests), median(seconds[way]), median(starts[way])) for way in ways
    ]


def table(rates: Sequence[Rate]) -> str:
    """A line a way, with its rate over that of the loop."""
    lines = [
        f"{'verifier':12}{'way':22}{'answers':>9}{'start s':>9}{'seconds':>9}{'answers/s':>11}{'of the loop':>13}"
    ]
    for rate in rates:
        [loop] = [
            other for other in rates if other.verifier == rate.verifier and other.way == "loop"
        ]
        lines.append(
            f"{rate.verifier:12}{rate.way:22}{rate.num_answers:9,}{rate.start_seconds:9.2f}{rate.seconds:9.2f}"
            f"{rate.answers_per_second:11,.0f}{rate.answers_per_second / loop.answers_per_second:13.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    command(main)

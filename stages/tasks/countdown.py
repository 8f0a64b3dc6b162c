"""Countdown: reach a target from given numbers with + - * /, each number used once.

See `stages.tasks.marks.CountdownMarks` for how it is written.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count

from stages.contracts.params.inits.demonstrations import (
    DirectDemonstrations,
    ParallelDemonstrations,
)
from stages.contracts.params.task import CountdownTask
from stages.tasks.arithmetic import OPERATORS, Step, apply
from stages.tasks.marks import ABOVE, BELOW, FAR_ABOVE, FAR_BELOW, HIT, UNJUDGED, CountdownMarks
from stages.tasks.splits import RESERVED, fill_splits, sizes, split_of
from stages.tasks.strategies import (
    Attempting,
    Candidates,
    direct_demonstration,
    draw_attempts,
    draw_problems,
)
from stages.tasks.task import Problem, StrategySettings

NEAR_DISTANCE = 8

Derivation = tuple[Step, ...]


class Countdown:
    """The source of Countdown problems; see `stages.tasks.task.Source`."""

    def __init__(self, params: CountdownTask) -> None:
        self.params = params

    def problems(self) -> Iterator[Problem]:
        """Random problems per tier, each canonical one (sorted numbers, target) at most once."""
        for tier in self.params.tiers:
            rng = random.Random(f"{self.params.seed}/{tier.num_numbers}")
            draws = (self._draw(rng, tier.num_numbers, draw) for draw in count())
            kind = f"with {tier.num_numbers} numbers up to {self.params.max_number}"
            yield from fill_splits(draws, sizes(tier), kind)

    def demonstrations(
        self, problems: Sequence[Problem], settings: DirectDemonstrations | Attempting, seed: int
    ) -> Iterator[StrategySettings]:
        """The reference answer at once, or a searcher's trace: attempts, then an answer."""
        rng = random.Random(f"{seed}/demonstrations")
        for problem in draw_problems(problems, settings, rng):
            if isinstance(settings, DirectDemonstrations):
                yield direct_demonstration(problem, f"{CountdownMarks.cue} ")
            else:
                yield self._demonstrate(problem, settings, rng)

    def solutions(self, problem: Problem) -> list[str]:
        """Every derivation of the target, larger operand first in each step."""
        numbers, target = problem.metadata["numbers"], problem.metadata["target"]
        return [_text(d) for d in self._derivations(numbers) if d[-1].result == target]

    def _draw(self, rng: random.Random, num_numbers: int, draw: int) -> Problem | None:
        numbers = sorted(rng.randint(1, self.params.max_number) for _ in range(num_numbers))
        derivations = self._derivations(numbers)
        if not derivations:
            return None
        derivation = rng.choice(derivations)
        target = derivation[-1].result
        if target in numbers:
            return None
        canonical = f"{'-'.join(map(str, numbers))}>{target}"
        split = split_of(canonical, self.params.heldout_bucket)
        # A reserved problem draws nothing from `rng`: the others are the same with and without it.
        ordering = random.Random(canonical) if split == RESERVED else rng
        shown = ordering.sample(numbers, num_numbers)
        return Problem(
            problem_id=f"countdown:{canonical}",
            split=split,
            difficulty=num_numbers,
            prompt=f"<bos> {' '.join(map(str, shown))} T{target} :",
            answer=_text(derivation),
            metadata={"numbers": shown, "target": target},
            seed=draw,
        )

    def _demonstrate(
        self, problem: Problem, settings: Attempting, rng: random.Random
    ) -> StrategySettings:
        numbers = tuple(sorted(problem.metadata["numbers"]))
        derivations = self._derivations(numbers)
        candidates = _candidates(numbers, problem.metadata["target"], self.params.max_result)
        trace = draw_attempts(candidates, settings, rng)
        is_judged = not isinstance(settings, ParallelDemonstrations)
        marks = [
            _mark(candidates.distances[index]) if is_judged else UNJUDGED
            for index in trace.attempts
        ]
        words = [
            f"{_text(derivations[index])} {mark}"
            for index, mark in zip(trace.attempts, marks, strict=True)
        ]
        return StrategySettings(
            problem_id=problem.problem_id,
            strategy=settings.strategy,
            text=" ".join([*words, CountdownMarks.cue, _text(derivations[trace.answer])]),
            is_correct=candidates.distances[trace.answer] == 0,
            num_segments=len(trace.attempts),
        )

    def _derivations(self, numbers: Sequence[int]) -> tuple[Derivation, ...]:
        return derivations(tuple(sorted(numbers)), self.params.max_result)


@lru_cache(maxsize=16384)
def derivations(numbers: tuple[int, ...], max_result: int) -> tuple[Derivation, ...]:
    """All ways to combine every number once, larger operand first.

    Each result is within 1 … max_result.
    """
    if len(numbers) == 1:
        return ((),)
    distinct: dict[Derivation, None] = {}
    for i, j in itertools.combinations(range(len(numbers)), 2):
        right, left = sorted((numbers[i], numbers[j]))
        rest = [n for k, n in enumerate(numbers) if k not in (i, j)]
        for operator in OPERATORS:
            result = apply(operator, left, right)
            if result is None or not 1 <= result <= max_result:
                continue
            step = Step(left, operator, right, result)
            for tail in derivations(tuple(sorted([*rest, result])), max_result):
                distinct[(step, *tail)] = None
    return tuple(distinct)


@lru_cache(maxsize=8192)
def _candidates(numbers: tuple[int, ...], target: int, max_result: int) -> Candidates:
    """The derivations as a strategy sees them; first steps are numbered."""
    all_derivations = derivations(numbers, max_result)
    order: dict[Step, int] = {}
    first_steps = tuple(
        [order.setdefault(derivation[0], len(order)) for derivation in all_derivations]
    )
    return Candidates(
        tuple([derivation[-1].result - target for derivation in all_derivations]), first_steps
    )


def _mark(distance: int) -> str:
    """The verdict marker of an attempt whose result lies at this distance from the target."""
    if distance == 0:
        return HIT
    is_near = abs(distance) <= NEAR_DISTANCE
    if distance < 0:
        return BELOW if is_near else FAR_BELOW
    return ABOVE if is_near else FAR_ABOVE


def _text(derivation: Derivation) -> str:
    return " ".join(f"{s.left} {s.operator} {s.right} {s.result}" for s in derivation)

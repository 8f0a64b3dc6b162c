"""Countdown: reach a target from given numbers with + - * /, each number used once.

See `stages.tasks.formats.CountdownFormat` for how it is written.
"""

import itertools
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from stages.contracts.errors import BadInput
from stages.contracts.task_params import CountdownDemonstrations, CountdownTask
from stages.tasks.arithmetic import OPERATORS, Step, apply
from stages.tasks.formats import ABOVE, BELOW, FAR_ABOVE, FAR_BELOW, HIT, CountdownFormat
from stages.tasks.task import Demonstration, Problem

NEAR_DISTANCE = 8
HELDOUT_BUCKETS = 10

Derivation = tuple[Step, ...]


class Countdown:
    """The source of Countdown problems; see `stages.tasks.task.Source`."""

    def __init__(self, params: CountdownTask) -> None:
        self.params = params

    def problems(self) -> Iterator[Problem]:
        """Random problems per tier, each canonical problem (sorted numbers, target) at most once."""
        for tier in self.params.tiers:
            rng = random.Random(f"{self.params.seed}/{tier.num_numbers}")
            wanted = {"train": tier.num_train, "heldout": tier.num_heldout}
            seen: set[str] = set()
            draws = 0
            while any(wanted.values()):
                problem = self._draw(rng, tier.num_numbers, draws)
                draws += 1
                if problem and problem.problem_id not in seen and wanted[problem.split]:
                    seen.add(problem.problem_id)
                    wanted[problem.split] -= 1
                    yield problem
                if draws > 1000 * (tier.num_train + tier.num_heldout + 1):
                    _too_few(tier.num_numbers, wanted)

    def demonstrations(
        self, problems: Sequence[Problem], settings: CountdownDemonstrations, seed: int
    ) -> Iterator[Demonstration]:
        """A searcher's traces: random attempts, each checked, then an answer."""
        by_difficulty = {d: [p for p in problems if p.difficulty == d] for d in settings.difficulty_weights}
        levels, weights = zip(*sorted(settings.difficulty_weights.items()), strict=True)
        rng = random.Random(f"{seed}/demonstrations")
        for _ in range(settings.num_demos):
            [level] = rng.choices(levels, weights)
            yield self._demonstrate(rng.choice(by_difficulty[level]), settings, rng)

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
        is_heldout = zlib.crc32(canonical.encode()) % HELDOUT_BUCKETS == 0
        shown = rng.sample(numbers, num_numbers)
        return Problem(
            problem_id=f"countdown:{canonical}",
            split="heldout" if is_heldout else "train",
            difficulty=num_numbers,
            prompt=f"<bos> {' '.join(map(str, shown))} T{target} :",
            answer=_text(derivation),
            metadata={"numbers": shown, "target": target},
            seed=draw,
        )

    def _demonstrate(self, problem: Problem, settings: CountdownDemonstrations, rng: random.Random) -> Demonstration:
        derivations = self._derivations(problem.metadata["numbers"])
        target = problem.metadata["target"]
        hits = [d for d in derivations if d[-1].result == target]
        attempts = list(_search(derivations, hits, target, settings, rng))
        found = [d for d in attempts if d[-1].result == target]
        answer = found[-1] if found else rng.choice(hits)
        words = [f"{_text(d)} {_mark(d[-1].result, target)}" for d in attempts]
        return Demonstration(
            problem_id=problem.problem_id,
            strategy=settings.strategy,
            text=" ".join([*words, CountdownFormat.cue, _text(answer)]),
            is_correct=True,
            num_segments=len(attempts),
        )

    def _derivations(self, numbers: Sequence[int]) -> tuple[Derivation, ...]:
        return derivations(tuple(sorted(numbers)), self.params.max_result)


@lru_cache(maxsize=4096)
def derivations(numbers: tuple[int, ...], max_result: int) -> tuple[Derivation, ...]:
    """All ways to combine every number once, larger operand first, each result within 1 … max_result."""
    if len(numbers) == 1:
        return ((),)
    found: dict[Derivation, None] = {}
    for i, j in itertools.combinations(range(len(numbers)), 2):
        right, left = sorted((numbers[i], numbers[j]))
        rest = [n for k, n in enumerate(numbers) if k not in (i, j)]
        for operator in OPERATORS:
            result = apply(operator, left, right)
            if result is None or not 1 <= result <= max_result:
                continue
            step = Step(left, operator, right, result)
            for tail in derivations(tuple(sorted([*rest, result])), max_result):
                found[(step, *tail)] = None
    return tuple(found)


def _search(
    derivations: Sequence[Derivation],
    hits: Sequence[Derivation],
    target: int,
    settings: CountdownDemonstrations,
    rng: random.Random,
) -> Iterator[Derivation]:
    """The attempts of one demonstration.

    A share of traces answers at once; a share finds the target at a position drawn uniformly, so that committing to a
    verified attempt is seen at every depth; the rest searches at random until it hits or gives up.
    """
    if rng.random() < settings.immediate_answer_frac:
        return
    if rng.random() < settings.planned_hit_frac:
        misses = [d for d in derivations if d[-1].result != target]
        for _ in range(rng.randrange(settings.max_planned_attempts) if misses else 0):
            yield rng.choice(misses)
        yield rng.choice(hits)
        return
    give_up_frac = rng.choice(settings.give_up_fracs)
    for _ in range(settings.max_attempts):
        candidates = rng.choices(derivations, k=rng.choice(settings.candidates_per_attempt))
        attempt = min(candidates, key=lambda d: abs(d[-1].result - target))
        yield attempt
        if attempt[-1].result == target or rng.random() < give_up_frac:
            return


def _mark(result: int, target: int) -> str:
    """The verdict marker of an attempt with this result."""
    if result == target:
        return HIT
    is_near = abs(result - target) <= NEAR_DISTANCE
    if result < target:
        return BELOW if is_near else FAR_BELOW
    return ABOVE if is_near else FAR_ABOVE


def _text(derivation: Derivation) -> str:
    return " ".join(f"{s.left} {s.operator} {s.right} {s.result}" for s in derivation)


def _too_few(num_numbers: int, missing: Mapping[str, int]) -> None:
    raise BadInput(
        f"params.yaml task.tiers: no more distinct problems with {num_numbers} numbers; still missing "
        f"{missing['train']} train and {missing['heldout']} heldout; ask for fewer or raise task.max_number"
    )

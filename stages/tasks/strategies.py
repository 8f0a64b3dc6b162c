"""How a demonstration gets to its answer.

Which candidates are attempted, in which order, and which one is answered.

A strategy knows of a problem's candidates nothing but how far the result of each lies from the
target and which first step it begins with, and speaks of them by index; how they are written is the
task's business.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, repeat
from typing import NamedTuple

from stages.contracts.params.inits.demonstrations import (
    DirectDemonstrations,
    ParallelDemonstrations,
    ReviseDemonstrations,
    SearchDemonstrations,
    Strategy,
    WorkedDemonstrations,
)
from stages.running.errors import BadInput
from stages.tasks.marks import Marks
from stages.tasks.task import Problem, StrategySettings

Attempting = ReviseDemonstrations | ParallelDemonstrations | SearchDemonstrations


@dataclass(frozen=True)
class Candidates:
    """All that can be attempted on one problem; at least one candidate hits.

    `distances` are result - target, 0 for a hit; `first_steps` tell which candidates are siblings.
    """

    distances: Sequence[int]
    first_steps: Sequence[int]

    @cached_property
    def hits(self) -> tuple[int, ...]:
        """Candidates that reach the target."""
        return tuple([index for index, distance in enumerate(self.distances) if distance == 0])

    @cached_property
    def misses(self) -> tuple[int, ...]:
        """All the others."""
        return tuple([index for index, distance in enumerate(self.distances) if distance])

    def nearest(self, indices: Sequence[int]) -> int:
        """The candidate nearest to the target; of several the first."""
        return min(indices, key=lambda index: abs(self.distances[index]))


class AttemptPlan(NamedTuple):
    """Candidates attempted in order, and the one answered."""

    attempts: list[int]
    answer: int


def draw_problems(
    problems: Sequence[Problem], settings: Strategy, rng: random.Random
) -> Iterator[Problem]:
    """The problem of each demonstration.

    None comes again before every other of its difficulty has come.

    Without `difficulty_weights` all are of one pool.
    """
    weights = settings.difficulty_weights
    if weights is None:
        yield from islice(_passes(problems, rng), settings.num_demos)
        return
    levels = sorted(weights)
    passes = {
        level: _passes([p for p in problems if p.difficulty == level], rng) for level in levels
    }
    for level in rng.choices(levels, [weights[level] for level in levels], k=settings.num_demos):
        yield next(passes[level])


def direct_demonstration(problem: Problem, cue: str) -> StrategySettings:
    """Strategy `direct`: the reference answer at once."""
    return StrategySettings(
        problem_id=problem.problem_id,
        strategy="direct",
        text=cue + problem.answer,
        is_correct=True,
        num_segments=0,
    )


def shown_demonstrations(
    problems: Sequence[Problem],
    settings: DirectDemonstrations | WorkedDemonstrations,
    form: Marks,
    seed: int,
) -> Iterator[StrategySettings]:
    """Demonstrations of tasks whose answers are given.

    The answer at once, or behind the solution it came with.

    Raises:
        BadInput: a problem to be shown worked came without a solution.
    """
    for problem in draw_problems(problems, settings, random.Random(f"{seed}/demonstrations")):
        if isinstance(settings, DirectDemonstrations):
            yield direct_demonstration(problem, form.cue)
        else:
            yield _worked_demonstration(problem, form)


def _worked_demonstration(problem: Problem, form: Marks) -> StrategySettings:
    solution = problem.metadata["solution"]
    if not solution:
        raise BadInput(
            f"problem {problem.problem_id} came without a solution, which strategy worked shows; "
            "use direct"
        )
    thinking = solution.strip() + form.segment_ends[0]
    return StrategySettings(
        problem_id=problem.problem_id,
        strategy="worked",
        text=thinking + form.cue + problem.answer,
        is_correct=True,
        num_segments=sum(map(thinking.count, form.segment_ends)),
    )


def draw_attempts(candidates: Candidates, settings: Attempting, rng: random.Random) -> AttemptPlan:
    """One demonstration.

    A share answers at once; a share hits at a position drawn uniformly, so that committing to a
    verified attempt is seen at every depth; the rest searches until it hits or gives up.
    """
    if rng.random() < settings.immediate_answer_frac:
        attempts = []
    elif rng.random() < settings.planned_hit_frac:
        attempts = _planned(candidates, settings, rng)
    else:
        attempts = list(_free(candidates, settings, rng))
    return AttemptPlan(attempts, _answer(candidates, attempts, settings.wrong_answer_frac, rng))


def _answer(
    candidates: Candidates, attempts: Sequence[int], wrong_answer_frac: float, rng: random.Random
) -> int:
    """The last attempt that hit.

    Without one a hit never attempted, or as a policy would end: the nearest attempt.
    """
    hits = [index for index in attempts if candidates.distances[index] == 0]
    if hits:
        return hits[-1]
    if attempts and rng.random() < wrong_answer_frac:
        return candidates.nearest(attempts)
    return rng.choice(candidates.hits)


def _planned(candidates: Candidates, settings: Attempting, rng: random.Random) -> list[int]:
    """Some misses, then a hit.

    In `parallel`, where no attempt has a verdict, the hit stands anywhere among them.
    """
    num_misses = rng.randrange(settings.max_planned_attempts) if candidates.misses else 0
    hit = rng.choice(candidates.hits)
    if isinstance(settings, SearchDemonstrations):
        return [*islice(_barren_siblings(candidates, settings, rng), num_misses), hit]
    attempts = [*(rng.choice(candidates.misses) for _ in range(num_misses)), hit]
    if isinstance(settings, ParallelDemonstrations):
        rng.shuffle(attempts)
    return attempts


def _free(candidates: Candidates, settings: Attempting, rng: random.Random) -> Iterator[int]:
    """Attempts until one hits, or is the last before giving up.

    `parallel` does not know that one has hit.
    """
    give_up_frac = rng.choice(settings.give_up_fracs)
    stops_at_hit = not isinstance(settings, ParallelDemonstrations)
    if isinstance(settings, SearchDemonstrations):
        order = (index for siblings in _families(candidates, settings, rng) for index in siblings)
    else:
        order = (_guess(candidates, settings.candidates_per_attempt, rng) for _ in repeat(None))
    for attempt in islice(order, settings.max_attempts):
        yield attempt
        if (stops_at_hit and candidates.distances[attempt] == 0) or rng.random() < give_up_frac:
            return


def _guess(
    candidates: Candidates, candidates_per_attempt: Sequence[int], rng: random.Random
) -> int:
    """The nearest of a few drawn with replacement."""
    return candidates.nearest(
        rng.choices(range(len(candidates.distances)), k=rng.choice(candidates_per_attempt))
    )


def _families(
    candidates: Candidates, settings: SearchDemonstrations, rng: random.Random
) -> Iterator[list[int]]:
    """First steps in random order, each with at most `max_siblings` continuations.

    Those that look nearest come first.

    They look farther than they are by up to `max_blur`: to a perfect eye the first sibling would
    decide.
    """
    families: dict[int, list[int]] = {}
    for index in rng.sample(range(len(candidates.distances)), len(candidates.distances)):
        families.setdefault(candidates.first_steps[index], []).append(index)
    for siblings in families.values():
        looks = {
            index: abs(candidates.distances[index]) + rng.uniform(0, settings.max_blur)
            for index in siblings
        }
        yield sorted(siblings, key=looks.__getitem__)[: settings.max_siblings]


def _barren_siblings(
    candidates: Candidates, settings: SearchDemonstrations, rng: random.Random
) -> Iterator[int]:
    """What systematic search tries under first steps from which no continuation hits."""
    for siblings in _families(candidates, settings, rng):
        if all(candidates.distances[index] for index in siblings):
            yield from siblings


def _passes(problems: Sequence[Problem], rng: random.Random) -> Iterator[Problem]:
    assert problems, "every difficulty has problems of the train split"
    while True:
        yield from rng.sample(problems, len(problems))

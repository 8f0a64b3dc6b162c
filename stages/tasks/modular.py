"""Modular multiplication, the negative control: a * b * c mod m.

An attempt tells nothing there that is not known.

To verify an attempt is to work out the product, and who can do that needs no attempt; so a policy
that cannot must show no progress in any estimate. A prime modulus is the purest: under another one
divisors give part of the product away. See `stages.tasks.marks.ModularMarks` for how it is
written.
"""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import count

from stages.contracts.params.inits.demonstrations import DirectDemonstrations, ReviseDemonstrations
from stages.contracts.params.task import ModularTask
from stages.tasks.marks import HIT, MISS, ModularMarks
from stages.tasks.splits import fill_splits, sizes, split_of
from stages.tasks.strategies import Candidates, direct_demonstration, draw_attempts, draw_problems
from stages.tasks.task import Problem, StrategySettings

SMALLEST_FACTOR = 2


class Modular:
    """The source of modular products; see `stages.tasks.task.Source`."""

    def __init__(self, params: ModularTask) -> None:
        self.params = params

    def problems(self) -> Iterator[Problem]:
        """Random problems per tier, each canonical problem (sorted factors) at most once."""
        for tier in self.params.tiers:
            rng = random.Random(f"{self.params.seed}/{tier.num_factors}")
            draws = (self._draw(rng, tier.num_factors, draw) for draw in count())
            kind = f"with {tier.num_factors} factors below {self.params.modulus}"
            yield from fill_splits(draws, sizes(tier), kind)

    def demonstrations(
        self,
        problems: Sequence[Problem],
        settings: DirectDemonstrations | ReviseDemonstrations,
        seed: int,
    ) -> Iterator[StrategySettings]:
        """The reference answer at once, or residues tried, then an answer.

        Each residue tried has its true verdict.
        """
        rng = random.Random(f"{seed}/demonstrations")
        for problem in draw_problems(problems, settings, rng):
            if isinstance(settings, DirectDemonstrations):
                yield direct_demonstration(problem, f"{ModularMarks.cue} ")
            else:
                yield self._demonstrate(problem, settings, rng)

    def solutions(self, problem: Problem) -> list[str]:
        """The one residue."""
        return [problem.answer]

    def _draw(self, rng: random.Random, num_factors: int, draw: int) -> Problem | None:
        modulus = self.params.modulus
        factors = [rng.randrange(SMALLEST_FACTOR, modulus) for _ in range(num_factors)]
        canonical = f"{'*'.join(map(str, sorted(factors)))}%{modulus}"
        split = split_of(canonical, self.params.heldout_bucket)
        return Problem(
            problem_id=f"modular:{canonical}",
            split=split,
            difficulty=num_factors,
            prompt=f"<bos> {' * '.join(map(str, factors))} mod {modulus} :",
            answer=str(math.prod(factors) % modulus),
            metadata={"factors": factors, "modulus": modulus},
            seed=draw,
        )

    def _demonstrate(
        self, problem: Problem, settings: ReviseDemonstrations, rng: random.Random
    ) -> StrategySettings:
        residues = range(self.params.modulus)
        is_miss = [residue != int(problem.answer) for residue in residues]
        trace = draw_attempts(Candidates(is_miss, residues), settings, rng)
        words = [f"{residue} {MISS if is_miss[residue] else HIT}" for residue in trace.attempts]
        return StrategySettings(
            problem_id=problem.problem_id,
            strategy=settings.strategy,
            text=" ".join([*words, ModularMarks.cue, str(trace.answer)]),
            is_correct=not is_miss[trace.answer],
            num_segments=len(trace.attempts),
        )

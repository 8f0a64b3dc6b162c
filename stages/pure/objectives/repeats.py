"""A price on thinking the same twice."""

from collections.abc import Hashable, Iterable

import numpy as np

from stages.pure.credit import RolloutOfSegment
from stages.pure.objectives.arrays import Advantage, IsSegment


def is_repeat(texts: Iterable[Hashable], rollout_of_segment: RolloutOfSegment) -> IsSegment:
    """Whether an earlier segment of the same rollout has the same text."""
    seen: set[tuple[int, Hashable]] = set()
    repeats = []
    for rollout, text in zip(rollout_of_segment.tolist(), texts, strict=True):
        repeats.append((rollout, text) in seen)
        seen.add((rollout, text))
    return np.array(repeats, dtype=bool)


def less_repeats(advantage: Advantage, is_repeat: IsSegment, penalty: float) -> Advantage:
    """A − penalty on a segment that repeats an earlier one, whatever it gained.

    In units of the advantage. LIE (arXiv 2602.11748) prices repeated n-grams beside a bonus for
    length, so that longer thinking is not the same thing said again.
    """
    return advantage._replace(credit=advantage.credit - penalty * is_repeat)

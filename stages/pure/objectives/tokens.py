"""From segments to tokens."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from stages.pure.credit import spread
from stages.pure.objectives.arrays import Advantage, IsSegment, Segments


class TokenAdvantages(NamedTuple):
    """For each rollout, of each completion token: both parts of its advantage, and what it may be.

    `is_target` is where it is trained, `is_anchored` where a KL term may hold it.
    """

    outcome: list[Float[np.ndarray, " token"]]
    credit: list[Float[np.ndarray, " token"]]
    is_target: list[Bool[np.ndarray, " token"]]
    is_anchored: list[Bool[np.ndarray, " token"]]


def on_tokens(
    advantage: Advantage,
    is_anchored: IsSegment,
    segments: Segments,
    forced_start: Sequence[int],
    forced_end: Sequence[int],
    lengths: Sequence[int],
) -> TokenAdvantages:
    """Lay the values of segments on their tokens.

    A rollout's forced span is no target, and so held by no KL term.
    """
    every = np.arange(len(lengths))
    is_forced = spread(np.ones(len(lengths), dtype=bool), every, forced_start, forced_end, lengths)
    is_target = [~tokens for tokens in is_forced]
    outcome, credit, anchored = (
        spread(values, segments.rollout, segments.start_tokens, segments.end_tokens, lengths)
        for values in (advantage.outcome, advantage.credit, is_anchored)
    )
    return TokenAdvantages(
        outcome, credit, is_target, [a & t for a, t in zip(anchored, is_target, strict=True)]
    )

"""From segments to tokens."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stages.pure.credit import spread
from stages.pure.objectives.arrays import Advantage, IsSegment, Segments


class TokenAdvantages(NamedTuple):
    """For each rollout, of each completion token: the advantage's parts, is it trained, may a KL
    term hold it.
    """

    outcome: list[np.ndarray]
    credit: list[np.ndarray]
    is_target: list[np.ndarray]
    is_anchored: list[np.ndarray]


def on_tokens(
    parts: Advantage,
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
        for values in (parts.outcome, parts.credit, is_anchored)
    )
    return TokenAdvantages(
        outcome, credit, is_target, [a & t for a, t in zip(anchored, is_target, strict=True)]
    )

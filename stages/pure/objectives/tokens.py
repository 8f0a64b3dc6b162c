"""From segments to tokens."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from stages.pure.credit import spread
from stages.pure.objectives.arrays import Advantage, IsSegment, Segments

PerToken = Float[np.ndarray, " _"]
IsToken = Bool[np.ndarray, " _"]


class TokenAdvantages(NamedTuple):
    """For each rollout, of each completion token: both parts of its advantage, and what it may be.

    `is_target` is where it is trained, `is_anchored` where a KL term may hold it.
    """

    outcome: list[PerToken]
    credit: list[PerToken]
    is_target: list[IsToken]
    is_anchored: list[IsToken]


def stops_apart(segments: Segments, is_sampled: Sequence[IsToken]) -> Segments:
    """The segments, with the choice to stop thinking as a segment of its own.

    It is the first token behind the thinking, where the policy wrote it: the cue's. Where the cue
    was put there nobody chose, and the answer stays whole.
    """
    is_chosen = np.array(
        [
            not is_thinking and start < end and is_sampled[row][start]
            for row, start, end, is_thinking in zip(
                segments.rollout,
                segments.start_tokens,
                segments.end_tokens,
                segments.is_thinking,
                strict=True,
            )
        ],
        dtype=bool,
    )
    twice = np.repeat(np.arange(len(is_chosen)), 1 + is_chosen)
    is_stop = is_chosen[twice] & np.append(np.diff(twice) == 0, False)[: len(twice)]
    is_rest = is_chosen[twice] & ~is_stop
    apart = Segments(*(values[twice] for values in segments))
    starts = apart.start_tokens
    return apart._replace(
        start_tokens=starts + is_rest,
        end_tokens=np.where(is_stop, starts + 1, apart.end_tokens),
        is_stop=is_stop,
    )


def on_tokens(
    advantage: Advantage,
    is_anchored: IsSegment,
    segments: Segments,
    is_sampled: Sequence[IsToken],
) -> TokenAdvantages:
    """Lay the values of segments on the tokens of their rollouts.

    A token that was not sampled is no target, and so held by no KL term.
    """
    lengths = [len(tokens) for tokens in is_sampled]
    outcome, credit, anchored = (
        spread(values, segments.rollout, segments.start_tokens, segments.end_tokens, lengths)
        for values in (advantage.outcome, advantage.credit, is_anchored)
    )
    is_held = [a & s for a, s in zip(anchored, is_sampled, strict=True)]
    return TokenAdvantages(outcome, credit, [*is_sampled], is_held)

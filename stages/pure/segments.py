"""Where a completion's thinking is cut into segments: token positions only.

In the meta-RL reading these are episodes.

Every cut gives boundaries 0 = j_0 < j_1 < … < j_k = number of thinking tokens; segment i is from
j_i up to j_{i+1}. Without tokens the boundaries are [0]: no segment.

A boundary is a state in which the policy acts: each but the first and the last stands before a
sampled token. So no cut falls inside tokens that were not sampled; what an environment replies
belongs to the segment that called for it. Lengths of segments are in sampled tokens.
"""

import math
from collections.abc import Collection, Iterable

import numpy as np
from jaxtyping import Bool, Float

IsToken = Bool[np.ndarray, " token"]


def marker_boundaries(
    words: Iterable[str], markers: Collection[str], is_sampled: IsToken
) -> list[int]:
    """Boundaries behind each sampled token with which a marker is complete.

    Markers are looked for in text, since a tokenizer may write one in several ways: full stop and
    blank line are one token, or two, or three. They are the policy's own words: a marker in a reply
    closes nothing, nor does one that a reply begins or ends.

    Args:
        words: what each thinking token adds to the text, the answer cue and what follows left out.
        markers: texts, each of which closes a segment when the segment ends with it.
        is_sampled: whether the policy wrote the token.

    Returns:
        Positions, rising.
    """
    assert all(markers), "an empty marker would cut everywhere"
    ends, longest = tuple(markers), max(map(len, markers), default=0)
    boundaries, text, is_closed = [0], "", False
    for position, (word, is_own) in enumerate(zip(words, is_sampled.tolist(), strict=True)):
        if not is_own:
            text = ""
            continue
        if is_closed:
            boundaries.append(position)
        text = (text + word)[-longest:]
        is_closed = text.endswith(ends)
        if is_closed:
            text = ""
    return [*boundaries, len(is_sampled)] if len(is_sampled) else boundaries


def fixed_boundaries(is_sampled: IsToken, every: int) -> list[int]:
    """Boundaries before each n-th sampled token, n = `every`: 0, n, 2n, … where all are sampled.

    For streams that no marker divides. SPO-tree (arXiv 2505.23564) cuts so, at hundreds of tokens.

    Args:
        is_sampled: of each thinking token, whether the policy wrote it.
        every: sampled tokens of each segment but the last, which has 1 … `every`, or none where
            nothing is sampled at all.
    """
    assert every > 0, "a segment has at least one token"
    cuts = np.flatnonzero(is_sampled)[every::every]
    return [0, *cuts.tolist(), len(is_sampled)] if len(is_sampled) else [0]


def cutpoint_boundaries(
    logprobs: Float[np.ndarray, " token"], is_sampled: IsToken, max_prob: float, min_tokens: int
) -> list[int]:
    """Boundaries before tokens that the sampler gave a probability below `max_prob`.

    There the stream could have forked. From the left, each such token at least `min_tokens` behind
    the boundary before it is cut at; every segment but the last has at least `min_tokens` sampled
    tokens. After the cutpoints of SPO-chain (arXiv 2505.23564), which likewise are tokens below a
    stated probability (0.9 in its code). There a segment ends with every fifth of them, however
    near or far; here the distance in tokens is bounded from below, and with it the number of probes
    from above.

    Args:
        logprobs: of each thinking token as sampled, nats; NaN is not cut at. What it says of a
            token that was not sampled is not read.
        is_sampled: whether the policy wrote the token.
        max_prob: strictly above the probability of every token that is cut at.
        min_tokens: between two cuts.
    """
    assert min_tokens > 0, "a segment has at least one token"
    if not len(logprobs):
        return [0]
    num_before = np.cumsum(is_sampled) - is_sampled
    boundaries, num_cut = [0], 0
    for position in np.flatnonzero(is_sampled & (logprobs < math.log(max_prob))).tolist():
        if num_before[position] - num_cut >= min_tokens:
            boundaries.append(position)
            num_cut = num_before[position]
    return [*boundaries, len(logprobs)]

"""Where a completion's thinking is cut into segments (episodes, in the meta-RL reading). Token
positions only.

Every cut gives boundaries 0 = j_0 < j_1 < … < j_k = number of thinking tokens; segment i is from
j_i up to j_{i+1}. Without tokens the boundaries are [0]: no segment.
"""

import math
from collections.abc import Collection, Iterable

import numpy as np
from jaxtyping import Float


def marker_boundaries(words: Iterable[str], markers: Collection[str]) -> list[int]:
    """Boundaries 0 = j_0 < j_1 < … < j_k = number of tokens: one behind each token with which a
    marker is complete.

    Markers are looked for in text, since a tokenizer may write one in several ways: full stop and
    blank line are one token, or two, or three.

    Args:
        words: what each thinking token adds to the text, the answer cue and what follows left out.
        markers: texts, each of which closes a segment when the segment ends with it.

    Returns:
        Positions, rising. Segment i is from j_i up to j_{i+1}. Without tokens the list is [0]: no
        segment.
    """
    assert all(markers), "an empty marker would cut everywhere"
    ends, longest = tuple(markers), max(map(len, markers), default=0)
    boundaries, text, position = [0], "", 0
    for position, word in enumerate(words, start=1):
        text = (text + word)[-longest:]
        if text.endswith(ends):
            boundaries.append(position)
            text = ""
    if boundaries[-1] != position:
        boundaries.append(position)
    return boundaries


def fixed_boundaries(num_tokens: int, every: int) -> list[int]:
    """Boundaries 0, n, 2n, … and the end: a cut every n = `every` tokens.

    For streams that no marker divides. SPO-tree (arXiv 2505.23564) cuts so, at hundreds of tokens.

    Args:
        num_tokens: thinking tokens.
        every: length of each segment but the last, tokens; the last has 1 … `every`.
    """
    assert every > 0, "a segment has at least one token"
    return [*range(0, num_tokens, every), num_tokens] if num_tokens else [0]


def cutpoint_boundaries(
    logprobs: Float[np.ndarray, " token"], max_prob: float, min_tokens: int
) -> list[int]:
    """Boundaries before tokens that the sampler gave a probability below `max_prob`: where a stream
    could have forked.

    From the left, each such token at least `min_tokens` behind the boundary before it is cut at;
    every segment but the last has at least `min_tokens` tokens. After the cutpoints of SPO-chain
    (arXiv 2505.23564), which likewise are tokens below a stated probability (0.9 in its code).
    There a segment ends with every fifth of them, however near or far; here the distance in tokens
    is bounded from below, and with it the number of probes from above.

    Args:
        logprobs: of each thinking token as sampled, nats. NaN says nothing, and is not cut at.
        max_prob: strictly above the probability of every token that is cut at.
        min_tokens: between two cuts.
    """
    assert min_tokens > 0, "a segment has at least one token"
    if not len(logprobs):
        return [0]
    boundaries = [0]
    for position in np.flatnonzero(logprobs < math.log(max_prob)).tolist():
        if position - boundaries[-1] >= min_tokens:
            boundaries.append(position)
    return [*boundaries, len(logprobs)]

"""Where a completion's thinking is cut into segments (episodes, in the meta-RL reading). Token positions only."""

from collections.abc import Collection, Sequence


def marker_boundaries(tokens: Sequence[int], markers: Collection[Sequence[int]]) -> list[int]:
    """Boundaries 0 = j_0 < j_1 < … < j_k = len(tokens): one after each occurrence of a marker.

    Args:
        tokens: thinking tokens, the answer cue and what follows left out.
        markers: token sequences, each of which closes a segment. Occurrences do not overlap; of two markers that
            match at one place the longer one counts.

    Returns:
        Positions, rising. Segment i is tokens[j_i : j_{i+1}]. Without tokens the list is [0]: no segment.
    """
    ordered = sorted((list(marker) for marker in markers), key=len, reverse=True)
    assert all(ordered), "an empty marker would cut everywhere"
    boundaries = [0]
    position = 0
    while position < len(tokens):
        matched = next((m for m in ordered if list(tokens[position : position + len(m)]) == m), None)
        position += len(matched) if matched else 1
        if matched:
            boundaries.append(position)
    if boundaries[-1] != len(tokens):
        boundaries.append(len(tokens))
    return boundaries

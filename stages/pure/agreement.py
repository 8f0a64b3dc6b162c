"""How far sampled answers agree, and what that says of success before any verdict."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

Counts = Int[np.ndarray, " distinct"]


def answer_counts(answers: Sequence[str]) -> Counts:
    """How often each distinct answer was given, falling.

    Answers that differ in white space alone are one.
    """
    tally = Counter(" ".join(answer.split()) for answer in answers)
    return np.array(sorted(tally.values(), reverse=True), dtype=np.int64)


def widest_variance(counts: Counts) -> float:
    """The greatest variance that the reward of one answer can have.

    It holds whichever of the answers are the correct ones.

    max over sets S of distinct answers of (s + 1) (K − s + 1) / ((K + 1) (K + 2)), s = ∑_{c in S}
    n_c, K = ∑ n_c: K times the `success_variance` of s right answers of K. A verifier that judges
    equal answers equally makes one of the s the number of right ones. Partial credit makes the
    variance no greater, which is convex in each reward. NaN without answers.
    """
    num_answers = int(counts.sum())
    if num_answers == 0:
        return float("nan")
    reachable = 1  # bit s is set where some set of answers was drawn s times
    for count in counts.tolist():
        reachable |= reachable << count
    widest = max(
        (s + 1) * (num_answers - s + 1) for s in range(num_answers + 1) if reachable >> s & 1
    )
    return widest / ((num_answers + 1) * (num_answers + 2))


def answers_needed(counts: Counts, max_stderr: float) -> int:
    """Least K at which sqrt(`widest_variance` / K) is at most `max_stderr`, by answers counted."""
    return math.ceil(widest_variance(counts) / max_stderr**2)

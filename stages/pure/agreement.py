"""How far sampled answers agree, and what that says of success before any verdict."""

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


def widest_stderr(counts: Counts) -> float:
    """The greatest standard error that success can have.

    It holds whichever of the answers are the correct ones.

    max over sets S of distinct answers of sqrt(p_S (1 − p_S) / K), p_S = ∑_{c in S} n_c / K, K = ∑
    n_c. A verifier that judges equal answers equally makes success one of the p_S, so the plug-in
    error of success is at most this, and is this where an answer of more than half the draws is
    correct or all others are. Partial credit makes it no greater: the variance is convex in each
    reward. 0 where all agree, which at small K is the estimate's own blindness, as in
    `success_variance`; NaN without answers.
    """
    num_answers = int(counts.sum())
    if num_answers == 0:
        return float("nan")
    reachable = 1  # bit s is set where some set of answers was drawn s times
    for count in counts.tolist():
        reachable |= reachable << count
    widest = max(s * (num_answers - s) for s in range(num_answers + 1) if reachable >> s & 1)
    return float(np.sqrt(widest / num_answers**3))

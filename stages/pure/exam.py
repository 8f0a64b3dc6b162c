"""What an exam measures beyond a mean.

Several samples, several budgets, a policy's verdicts on itself.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import comb

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

MEAN_DECIMALS = 9  # within which means are equal: sums differ in their last bits by their order
AnswerClass = tuple[int, bool]
"""Samples that gave one answer: how many they are, and whether it is right."""


def best_temperature(
    rewards: Float[np.ndarray, " answer"],
    problems: Shaped[np.ndarray, " answer"],
    sampled_at: Float[np.ndarray, " answer"],
    temperatures: Sequence[float],
) -> float:
    """Which of `temperatures` has the highest mean success over problems, the higher of equals.

    The answers are one policy's at one budget, to problems that it is not then examined on: chosen
    on those themselves, the best of several noisy means would be too high. `problems` says of each
    answer whose it is, `sampled_at` at which temperature, in the single precision of tables. NaN is
    left out. With no reward at all it is the first.
    """
    means = {}
    for temperature in temperatures:
        is_counted = (sampled_at == np.float32(temperature)) & ~np.isnan(rewards)
        if is_counted.any():
            of_problem = np.unique(problems[is_counted], return_inverse=True)[1]
            success = np.bincount(of_problem, rewards[is_counted]) / np.bincount(of_problem)
            means[temperature] = round(float(success.mean()), MEAN_DECIMALS)
    return max(
        means, key=lambda temperature: (means[temperature], temperature), default=temperatures[0]
    )


def pass_at_k(
    num_correct: Int[np.ndarray, " problem"], num_samples: Int[np.ndarray, " problem"], k: int
) -> Float[np.ndarray, " problem"]:
    """Chance that one of k samples is right, without bias: 1 − C(n − c, k) / C(n, k).

    The mean over all sets of k out of n samples (Chen et al., arXiv 2107.03374, eq. 1). Resampling
    with replacement, 1 − (1 − c/n)^k, is biased low: 0.684 instead of 0.786 for n = 8, c = 2, k =
    4. NaN where n < k.
    """
    pairs = zip(num_correct.tolist(), num_samples.tolist(), strict=True)
    return np.array([1 - comb(n - c, k) / comb(n, k) if n >= k else np.nan for c, n in pairs])


def best_of_k(
    scores: Float[np.ndarray, " sample"], rewards: Float[np.ndarray, " sample"], k: int
) -> float:
    """Mean reward of the sample with the highest score among k.

    The mean is over all sets of k out of one problem's n.

    Of samples with equal scores each is as likely to be chosen. A score that is the reward itself
    gives pass@k; equal scores give the mean reward. NaN where n < k.
    """
    size = len(scores)
    if size < k:
        return float("nan")
    total, below = 0.0, 0
    for level in np.unique(scores):
        is_level = scores == level
        up_to = below + int(is_level.sum())
        total += float(rewards[is_level].mean()) * (comb(up_to, k) - comb(below, k))
        below = up_to
    return total / comb(size, k)


def majority_at_k(
    answers: Int[np.ndarray, " sample"], is_right: Bool[np.ndarray, " sample"], k: int
) -> float:
    """Chance that the commonest answer among k samples is right, exactly.

    The mean is over all sets of k out of n.

    `answers` numbers one problem's distinct answers; equal numbers must be equally right. Answers
    that could not be parsed must have a number of their own: dropping them lets a policy that
    rarely answers win by one vote. Ties are split evenly, so with k = 1 and k = 2 this is the mean
    reward. NaN where n < k.
    """
    if len(answers) < k:
        return float("nan")
    _, first, sizes = np.unique(answers, return_index=True, return_counts=True)
    classes = sorted(zip(sizes.tolist(), is_right[first].tolist(), strict=True))
    return float(_majority(tuple(classes), k))


@cache
def _majority(classes: tuple[AnswerClass, ...], k: int) -> Fraction:
    """Ways for a right class to win: ∑ C(size, m) · ways of the others to stay at or below m.

    Summed over right classes and their votes m, ties split.
    """
    wins = Fraction(0)
    for place, (size, is_right) in enumerate(classes):
        if is_right:
            others = [other for other, _ in classes[:place] + classes[place + 1 :]]
            for votes in range(1, min(size, k) + 1):
                ways = _ways_below(others, k - votes, votes)
                wins += comb(size, votes) * sum(
                    Fraction(count, 1 + ties) for ties, count in ways.items()
                )
    return wins / comb(sum(size for size, _ in classes), k)


def _ways_below(sizes: list[int], num_votes: int, most: int) -> dict[int, int]:
    """Ways to spread votes over classes with at most `most` each.

    By how many classes have just as many.
    """
    ways = {(0, 0): 1}
    for size in sizes:
        after: dict[tuple[int, int], int] = {}
        for (given, ties), count in ways.items():
            for votes in range(min(size, most, num_votes - given) + 1):
                key = given + votes, ties + (votes == most)
                after[key] = after.get(key, 0) + count * comb(size, votes)
        ways = after
    return {ties: count for (given, ties), count in ways.items() if given == num_votes}


def normalized_regret(
    success: Float[np.ndarray, "*problem budget"],
    budgets: Int[np.ndarray, " budget"],
    best: Float[np.ndarray, "*#problem budget"],
) -> Float[np.ndarray, "*problem"]:
    """1 − area under success(C) / area under best(C), by trapezoids.

    It is the regret against a policy that succeeds as `best`.

    After MRT's cumulative regret (arXiv 2503.07572, definition 1), in tokens and divided by its
    largest value. With `best` 1 everywhere, the oracle, it is 0 for success 1 at every budget and 1
    for success 0. One budget gives 1 − success / best. NaN where `best` is 0 everywhere.
    """
    area, best_area = (
        curve[..., 0] if len(budgets) == 1 else np.trapezoid(curve, budgets)
        for curve in (success, best)
    )
    shape = np.broadcast_shapes(area.shape, best_area.shape)
    share = np.divide(
        area, best_area, out=np.full(shape, np.nan), where=np.broadcast_to(best_area > 0, shape)
    )
    return np.asarray(1 - share)


def tokens_to_reach(
    success: Float[np.ndarray, "*draw budget"], budgets: Int[np.ndarray, " budget"], level: float
) -> Float[np.ndarray, "*draw"]:
    """Least budget at which success reaches `level`.

    Linear between the budgets asked; infinite where it never does.

    The first crossing counts where a curve rises and falls. A curve that starts at or above `level`
    needs `budgets[0]`.
    """
    curves = success.reshape(-1, len(budgets))
    is_reached = curves >= level
    end = is_reached.argmax(axis=1)
    start = np.maximum(end - 1, 0)
    rows = np.arange(len(curves))
    low, high = curves[rows, start], curves[rows, end]
    share = np.divide(level - low, high - low, out=np.ones(len(curves)), where=high > low)
    tokens = budgets[start] + np.where(end > start, share, 0.0) * (budgets[end] - budgets[start])
    return np.where(is_reached.any(axis=1), tokens, np.inf).reshape(success.shape[:-1])


def tokens_ratio(
    before: Float[np.ndarray, "*draw budget"],
    after: Float[np.ndarray, "*draw budget"],
    budgets: Int[np.ndarray, " budget"],
    level: float,
) -> Float[np.ndarray, "*draw"]:
    """Tokens `after` needs to reach `level` per token `before` needs: below 1 it is the thriftier.

    0 where only `after` reaches it, infinite where only `before` does or where `before` needs none;
    NaN where neither reaches it or neither needs any.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(
            tokens_to_reach(after, budgets, level) / tokens_to_reach(before, budgets, level)
        )


def error_frac(
    num_errors: Float[np.ndarray, "*draw"], num_judged: Float[np.ndarray, "*draw"]
) -> Float[np.ndarray, "*draw"]:
    """Errors per judgement, of counts or of their means; NaN where nothing was judged."""
    return np.divide(
        num_errors, num_judged, out=np.full(num_judged.shape, np.nan), where=num_judged > 0
    )


def generation_verification_gap(
    false_positive_frac: Float[np.ndarray, "*draw"],
    false_negative_frac: Float[np.ndarray, "*draw"],
    hit_frac: Float[np.ndarray, "*draw"],
) -> Float[np.ndarray, "*draw"]:
    """Balanced accuracy of a policy's verdicts on its attempts, minus the share that hit.

    1 − (FP + FN) / 2 − hits. Above 0, checking is easier than finding, which attempting again lives
    on (e3, arXiv 2506.09026). Balanced, because where attempts mostly miss, "wrong" every time is
    nearly always right.
    """
    return np.asarray(1 - (false_positive_frac + false_negative_frac) / 2 - hit_frac)


def failure_bands(
    failure: Float[np.ndarray, " problem"], num_bands: int
) -> Int[np.ndarray, " problem"]:
    """Problems in bands of about equal size by failure rate, 0 the easiest.

    The band is ⌊mean rank share · bands⌋.

    Equal rates share their mean rank, so ties are never torn apart, and with many ties bands differ
    in size or are empty. NaN, nothing known, is band −1.
    """
    known = failure[~np.isnan(failure)]
    below = np.searchsorted(np.sort(known), failure, side="left")
    up_to = np.searchsorted(np.sort(known), failure, side="right")
    bands = ((below + up_to) / 2 * num_bands / max(1, len(known))).astype(int)
    return np.where(np.isnan(failure), -1, bands)

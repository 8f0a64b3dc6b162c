"""Means over problems with bootstrap intervals, and the regret of a budget curve."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Estimate(NamedTuple):
    """A mean with a confidence interval."""

    mean: float
    low: float
    high: float


def problem_means(
    values: Float[np.ndarray, " answer"], problems: Int[np.ndarray, " answer"], num_problems: int
) -> Float[np.ndarray, " problem"]:
    """Mean over each problem's answers, NaN answers left out; NaN for a problem without any."""
    usable = ~np.isnan(values)
    counts = np.bincount(problems[usable], minlength=num_problems)
    sums = np.bincount(problems[usable], weights=values[usable], minlength=num_problems)
    return np.divide(sums, counts, out=np.full(num_problems, np.nan), where=counts > 0)


def bootstrap(per_problem: Float[np.ndarray, " problem"], num_resamples: int, confidence: float, seed: int) -> Estimate:
    """Mean over problems with a percentile bootstrap interval, problems resampled with replacement.

    Problems, not answers, are the independent draws. For a paired comparison pass the per-problem differences: the
    spread between problems then cancels. NaN problems are left out.

    Raises:
        ValueError: no problem has a value.
    """
    values = per_problem[~np.isnan(per_problem)]
    if not len(values):
        raise ValueError("no problem has a value")
    rng = np.random.default_rng(seed)
    means = np.array([values[rng.integers(len(values), size=len(values))].mean() for _ in range(num_resamples)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(values.mean()), float(low), float(high))


def normalized_regret(
    success: Float[np.ndarray, "*problem budget"], budgets: Int[np.ndarray, " budget"]
) -> Float[np.ndarray, "*problem"]:
    """1 − area under success(C) / (C_max − C_min), trapezoids: regret against an oracle that always succeeds.

    0 for success 1 at every budget, 1 for success 0. After MRT's cumulative regret (arXiv 2503.07572, definition 1),
    in tokens and divided by its largest value. One budget gives 1 − success.
    """
    if len(budgets) == 1:
        return np.asarray(1 - success[..., 0])
    area = np.trapezoid(success, budgets, axis=-1)
    return np.asarray(1 - area / (budgets[-1] - budgets[0]))

"""Intervals by bootstrap over problems, and over seeds as well where an experiment was repeated.

Method  BCa intervals (Efron, JASA 1987; Davison and Hinkley, Bootstrap Methods and their
        Application, section 5.3) at levels widened for small samples (Hesterberg, arXiv 1411.5279).
        Plain percentile intervals, usual in the field, miss a small success too often:
        `benchmarks/interval_coverage.py` has the table.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt16
from scipy.special import ndtr, ndtri, stdtrit

BLOCK_COUNTS = 2**24
TIE = 1e-12  # numbers so near are equal up to rounding

Statistic = Callable[[Float[np.ndarray, "*draw column"]], Float[np.ndarray, "*draw"]]
"""A number from the means of columns: what an interval is wanted of."""


class Estimate(NamedTuple):
    """A mean, or another statistic, with a confidence interval."""

    mean: float
    low: float
    high: float

    def rounded(self) -> dict[str, float | None]:
        """To four digits, zero without a sign.

        None for what is infinite or unknown, which JSON does not have.
        """
        values = self._asdict().items()
        return {
            name: round(value, 4) + 0.0 if math.isfinite(value) else None for name, value in values
        }


def bootstrap(
    per_problem: Float[np.ndarray, " problem"], num_resamples: int, confidence: float, seed: int
) -> Estimate:
    """Mean over problems with its interval, problems resampled with replacement.

    Problems, not answers, are the independent draws. For a paired comparison pass the per-problem
    differences: the spread between problems then cancels. NaN problems are left out. Values that
    are all equal, and a single value, give an interval of no width: resampling cannot know what was
    never seen.

    Raises:
        ValueError: no problem has a value.
    """
    values = per_problem[~np.isnan(per_problem)]
    return bootstrap_of_means(
        [values[:, None]], lambda means: means[..., 0], num_resamples, confidence, seed
    )


def bootstrap_of_means(
    samples: Sequence[Float[np.ndarray, "problem _"]],
    statistic: Statistic,
    num_resamples: int,
    confidence: float,
    seed: int,
) -> Estimate:
    """A statistic of column means with its interval.

    The rows of each sample are resampled by themselves.

    One sample with the columns of two policies side by side is a paired comparison; two samples
    (problems seen and unseen, say) are an unpaired one. The statistic gets the means of all
    columns, sample after sample. NaN entries are left out of their column's mean. A ratio of sums
    is the ratio of two columns' means.

    Degenerate: an infinite statistic stays so, with ends that may be infinite; resamples where it
    is NaN (a ratio without a denominator) are left out. A sample of one row adds no width.

    Raises:
        ValueError: the statistic of all rows is NaN.
    """
    estimate = float(statistic(np.concatenate([_column_means(sample) for sample in samples])))
    if math.isnan(estimate):
        raise ValueError("no problem has a value")
    draws = [
        _drawn_means(sample, _drawn_counts(len(sample), num_resamples, seed, place))
        for place, sample in enumerate(samples)
    ]
    influences = [_influences(samples, place, statistic, estimate) for place in range(len(samples))]
    return _interval(estimate, statistic(np.concatenate(draws, axis=1)), influences, confidence)


def bootstrap_seeds(
    earlier: Float[np.ndarray, "seed problem"],
    later: Float[np.ndarray, "another_seed problem"],
    num_resamples: int,
    confidence: float,
    seed: int,
) -> Estimate:
    """Mean difference of two experiments, on the same problems.

    Each is repeated under seeds of its own.

    Seeds are resampled within each experiment, then problems, the same for all seeds: every seed
    was asked the same problems, so problems are crossed with seeds, not nested in them, and what a
    problem adds does not average out over seeds (pigeonhole bootstrap: Owen, Annals of Applied
    Statistics 1(2), 2007). The answers' own noise enters once for seeds and once for problems, so
    intervals are wider rather than narrower than they need be. One seed says nothing of the spread
    between seeds: its experiment is then taken as the only one there is. Problems with a NaN are
    left out.

    Raises:
        ValueError: no problem has a value under every seed.
    """
    known = ~np.isnan(np.concatenate([earlier, later])).any(axis=0)
    if not known.any():
        raise ValueError("no problem has a value under every seed")
    before, after = earlier[:, known], later[:, known]
    by_seed = [
        _drawn_counts(len(sample), num_resamples, seed, place) @ sample / len(sample)
        for place, sample in enumerate((before, after))
    ]
    problems = _drawn_counts(before.shape[1], num_resamples, seed, place=2)
    resampled = ((by_seed[1] - by_seed[0]) * problems).mean(axis=1)
    estimate = float(after.mean() - before.mean())
    by_problem = after.mean(axis=0) - before.mean(axis=0)
    influences = [
        before.mean() - before.mean(axis=1),
        after.mean(axis=1) - after.mean(),
        by_problem - estimate,
    ]
    return _interval(estimate, resampled, influences, confidence)


def _column_means(sample: Float[np.ndarray, "problem column"]) -> Float[np.ndarray, " column"]:
    return _resampled(sample, np.ones((1, len(sample))))[0]


def _resampled(
    sample: Float[np.ndarray, "problem column"], counts: Float[np.ndarray, "draw problem"]
) -> Float[np.ndarray, "draw column"]:
    """Column means with each row counted so many times, NaN left out; NaN where nothing is left."""
    known = ~np.isnan(sample)
    sums, nums = counts @ np.where(known, sample, 0.0), counts @ known.astype(float)
    return np.divide(sums, nums, out=np.full(sums.shape, np.nan), where=nums > 0)


def _drawn_means(
    sample: Float[np.ndarray, "problem column"], counts: UInt16[np.ndarray, "draw problem"]
) -> Float[np.ndarray, "draw column"]:
    """Column means of each resample, some resamples at a time.

    In floats their counts would fill the memory.
    """
    size = max(1, BLOCK_COUNTS // len(sample))
    blocks = [counts[start : start + size] for start in range(0, len(counts), size)]
    return np.concatenate([_resampled(sample, block.astype(float)) for block in blocks])


@lru_cache(maxsize=2)
def _drawn_counts(
    size: int, num_resamples: int, seed: int, place: int
) -> UInt16[np.ndarray, "draw problem"]:
    """How often each resample has each row.

    Kept, since the many numbers of one exam share their resamples.
    """
    rng = np.random.default_rng([seed, place])
    counts = np.empty((num_resamples, size), np.uint16)
    for row in counts:
        row[:] = np.bincount(rng.integers(size, size=size), minlength=size)
    return counts


def _influences(
    samples: Sequence[Float[np.ndarray, "problem _"]],
    place: int,
    statistic: Statistic,
    estimate: float,
) -> Float[np.ndarray, " problem"]:
    """What each row of one sample does to the statistic, by leaving it out.

    (n − 1)(θ − θ without it).
    """
    sample = samples[place]
    size = len(sample)
    if size < 2:
        return np.zeros(size)
    means = [np.broadcast_to(_column_means(other), (size, other.shape[1])) for other in samples]
    known = ~np.isnan(sample)
    values = np.where(known, sample, 0.0)
    sums, nums = values.sum(axis=0) - values, known.sum(axis=0) - known
    means[place] = np.divide(sums, nums, out=np.full(sums.shape, np.nan), where=nums > 0)
    with np.errstate(invalid="ignore"):
        influences = (size - 1) * (estimate - statistic(np.concatenate(means, axis=1)))
    return np.where(np.isfinite(influences), influences, 0.0)


def _interval(
    estimate: float,
    resampled: Float[np.ndarray, " draw"],
    influences: Sequence[Float[np.ndarray, " row"]],
    confidence: float,
) -> Estimate:
    """BCa interval from the resampled statistic and the influence l of each row of each sample.

    Bias z0 = Φ⁻¹(share of resamples below the estimate, ties half); acceleration a = Σ_s n_s⁻³ Σ l³
    / (6 (Σ_s n_s⁻² Σ l²)^1.5). A resample spreads by n − 1 where the truth does by n, and the
    spread itself is estimated: the normal quantile z becomes t · sqrt(Σ_s v_s / Σ_s v_s (n_s −
    1)/n_s), with v_s the variance sample s adds and t Student's quantile at Welch and
    Satterthwaite's degrees of freedom.
    """
    ordered = np.sort(resampled[~np.isnan(resampled)])
    if not len(ordered):
        return Estimate(estimate, math.nan, math.nan)
    used = [
        influence
        for influence in influences
        if len(influence) > 1 and np.abs(influence).max() > TIE
    ]
    if not used:
        return _ends(estimate, ordered, ndtri((1 + confidence) / 2), 0.0, 0.0)
    sizes = np.array([len(influence) for influence in used])
    spread = np.array([(influence**2).sum() for influence in used]) / sizes**2
    unbiased = spread * sizes / (sizes - 1)
    degrees = unbiased.sum() ** 2 / (unbiased**2 / (sizes - 1)).sum()
    tail = stdtrit(degrees, (1 + confidence) / 2) * math.sqrt(unbiased.sum() / spread.sum())
    skew = sum((influence**3).sum() / len(influence) ** 3 for influence in used) / (
        6 * spread.sum() ** 1.5
    )
    is_tie = np.isclose(ordered, estimate, rtol=0, atol=TIE)
    below = float(np.mean((ordered < estimate) & ~is_tie) + np.mean(is_tie) / 2)
    bias = ndtri(min(max(below, 1 / len(ordered)), 1 - 1 / len(ordered)))
    return _ends(estimate, ordered, tail, bias, skew)


def _ends(
    estimate: float, ordered: Float[np.ndarray, " draw"], tail: float, bias: float, skew: float
) -> Estimate:
    """The resamples at Φ(z0 + (z0 ∓ z) / (1 − a (z0 ∓ z))), rounded outwards.

    So none is between two of them.
    """
    last = len(ordered) - 1
    low, high = (ndtr(bias + (bias + z) / max(TIE, 1 - skew * (bias + z))) for z in (-tail, tail))
    return Estimate(
        estimate, float(ordered[math.floor(low * last)]), float(ordered[math.ceil(high * last)])
    )

"""Arms at equal cost, and the cost of getting as far: arrays in, arrays out.

A learning curve is known at the exams only; between two exams it is taken as linear in the cost.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri, stdtrit

from stages.pure.estimates import TIE, Estimate


class LearningCurve(NamedTuple):
    """Success at one budget along training."""

    success: Float[np.ndarray, "run exam problem"]
    spent: Float[np.ndarray, "run exam"]


class Reach(NamedTuple):
    """Cost to get as far as the baseline does in the end."""

    level: float
    """The baseline's final success."""
    ratio: Estimate
    """Cost of the arm per cost of the baseline; infinite where the arm never gets there."""
    never_frac: float
    """Share of resamples in which the arm never gets there."""
    undefined_frac: float
    """Share of resamples without a ratio: the baseline ended no higher than it began."""

    @property
    def inverse(self) -> Estimate:
        """How many times as far the arm's cost goes, as MRT states it (arXiv 2503.07572).

        0 where the arm never arrives.
        """
        with np.errstate(divide="ignore"):
            mean, low, high = (1 / np.float64(value) for value in self.ratio)
        return Estimate(float(mean), float(high), float(low))


def at_cost(
    success: Float[np.ndarray, "run exam problem budget"],
    spent: Float[np.ndarray, "run exam"],
    cost: float,
) -> Float[np.ndarray, "run problem budget"]:
    """Success of each run when it had spent `cost`: linear between the exams before and after.

    Runs spend differently, so the weights of the exams are a run's own. Before the first exam it is
    the first one's, behind the last the last one's.
    """
    weights = np.zeros(spent.shape)
    for run, exam in np.ndindex(spent.shape):
        hat = np.arange(spent.shape[1]) == exam
        weights[run, exam] = np.interp(cost, spent[run], hat.astype(float))
    return np.einsum("re,re...->r...", weights, success)


def cost_to_reach(
    success: Float[np.ndarray, "draw exam"],
    spent: Float[np.ndarray, "draw exam"],
    level: Float[np.ndarray, " draw"],
) -> Float[np.ndarray, " draw"]:
    """Least cost at which success reaches `level`, linear between exams; infinite if it never does.

    As `stages.pure.exam.tokens_to_reach`, where each draw has costs and a level of its own.
    """
    is_reached = success >= level[:, None] - TIE
    end = is_reached.argmax(axis=1)
    start = np.maximum(end - 1, 0)
    rows = np.arange(len(success))
    low, high = success[rows, start], success[rows, end]
    share = np.divide(level - low, high - low, out=np.zeros(len(rows)), where=high > low)
    share = share.clip(max=1)
    cost = spent[rows, start] + share * (spent[rows, end] - spent[rows, start])
    return np.where(is_reached.any(axis=1), cost, np.inf)


def reach(
    baseline: LearningCurve, arm: LearningCurve, num_resamples: int, confidence: float, seed: int
) -> Reach:
    """Cost to reach the baseline's final success on the mean curve, per cost of the baseline.

    Run i of the arm and run i of the baseline are a pair: the same init and seeds. Both levels are
    resampled: pairs of runs, and problems, once for all runs and exams, which all asked the same
    ones. The baseline's final success, and the cost at which its own curve first reaches that, are
    taken anew in every resample. NaN ratios, where the baseline takes no cost to end where it
    began, are counted and left out.
    """
    num_runs, _, num_problems = baseline.success.shape
    sizes = num_runs, num_problems
    counts = drawn_counts(sizes, num_resamples, seed)
    level, ratio, _ = _ratios(baseline, arm, *(np.ones((1, size)) for size in sizes))
    _, ratios, is_never = _ratios(baseline, arm, *counts)
    influences = [_influences(baseline, arm, sizes, place) for place in range(len(sizes))]
    estimate = widened(float(ratio[0]), ratios[~np.isnan(ratios)], influences, confidence)
    return Reach(float(level[0]), estimate, float(is_never.mean()), float(np.isnan(ratios).mean()))


def drawn_counts(
    sizes: Sequence[int], num_resamples: int, seed: int
) -> list[Float[np.ndarray, "draw row"]]:
    """How often each row of each sample is drawn, with replacement, in each resample."""
    counts = []
    for place, size in enumerate(sizes):
        rng = np.random.default_rng([seed, place])
        drawn = rng.multinomial(size, np.full(size, 1 / size), size=num_resamples)
        counts.append(drawn.astype(float))
    return counts


def _influences(
    baseline: LearningCurve, arm: LearningCurve, sizes: Sequence[int], place: int
) -> Float[np.ndarray, " row"]:
    """What leaving out each pair of runs, or each problem, does to ln ratio; 0 without a ratio."""
    size = sizes[place]
    if size < 2:
        return np.zeros(size)
    counts = [np.ones((size, other)) for other in sizes]
    counts[place] -= np.eye(size)
    _, whole, _ = _ratios(baseline, arm, *(np.ones((1, other)) for other in sizes))
    _, without, _ = _ratios(baseline, arm, *counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        influences = (size - 1) * (np.log(whole) - np.log(without))
    return np.where(np.isfinite(influences), influences, 0.0)


def _ratios(
    baseline: LearningCurve,
    arm: LearningCurve,
    run_counts: Float[np.ndarray, "draw run"],
    problem_counts: Float[np.ndarray, "draw problem"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level, cost ratio, and whether the arm never arrives, with each row counted so many times."""
    problems = problem_counts / problem_counts.sum(axis=1, keepdims=True)
    runs = run_counts / run_counts.sum(axis=1, keepdims=True)
    curves = []
    for curve in (baseline, arm):
        by_exam = []
        for place in range(curve.spent.shape[1]):
            by_exam.append(((runs @ curve.success[:, place]) * problems).sum(axis=1))
        curves.append((np.stack(by_exam, axis=1), runs @ curve.spent))
    level = curves[0][0][:, -1]
    before, after = (cost_to_reach(*curve, level) for curve in curves)
    ratio = np.divide(after, before, out=np.full(len(level), np.nan), where=before > 0)
    return level, ratio, np.isinf(after)


def widened(
    estimate: float,
    resampled: Float[np.ndarray, " draw"],
    influences: Sequence[Float[np.ndarray, " row"]],
    confidence: float,
) -> Estimate:
    """Percentile interval at levels widened for few rows: Φ(∓ t sqrt(Σ_s v_s / Σ_s w_s)).

    v_s is the variance that sample s of n_s rows adds, by its rows' influences, and w_s is v_s
    (n_s − 1) / n_s; t is Student's quantile at Welch and Satterthwaite's degrees of freedom: the
    expanded percentile interval (Hesterberg, arXiv 1411.5279) of several samples, as in
    `stages.pure.estimates`. Levels are the plain ones where no row matters. Infinite resamples are
    the largest; without any resample the ends are unknown.
    """
    if not len(resampled):
        return Estimate(estimate, math.nan, math.nan)
    tail = ndtri((1 + confidence) / 2)
    used = [rows for rows in influences if len(rows) > 1 and np.abs(rows).max() > TIE]
    if used:
        sizes = np.array([len(influence) for influence in used])
        spread = np.array([(influence**2).sum() for influence in used]) / sizes**2
        unbiased = spread * sizes / (sizes - 1)
        degrees = unbiased.sum() ** 2 / (unbiased**2 / (sizes - 1)).sum()
        tail = stdtrit(degrees, (1 + confidence) / 2) * math.sqrt(unbiased.sum() / spread.sum())
    ordered, last = np.sort(resampled), len(resampled) - 1
    low, high = math.floor(ndtr(-tail) * last), math.ceil(ndtr(tail) * last)
    return Estimate(estimate, float(ordered[low]), float(ordered[high]))

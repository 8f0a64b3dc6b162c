"""Arms at equal cost, and the cost of getting as far: arrays in, arrays out.

A learning curve is known at the exams only; between two exams it is taken as linear in the cost.
"""

import math
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
        """How many times as far the arm's cost goes, as MRT states it (arXiv 2503.07572); 0 where it never arrives."""
        with np.errstate(divide="ignore"):
            mean, low, high = (1 / np.float64(value) for value in self.ratio)
        return Estimate(float(mean), float(high), float(low))


def at_cost(
    success: Float[np.ndarray, "run exam problem budget"], spent: Float[np.ndarray, "run exam"], cost: float
) -> Float[np.ndarray, "run problem budget"]:
    """Success of each run when it had spent `cost`: linear between the exams before and after.

    Runs spend differently, so the weights of the exams are a run's own. Before the first exam it is the first one's,
    behind the last the last one's.
    """
    hats = np.eye(success.shape[1])
    weights = np.array([[np.interp(cost, own, hat) for hat in hats] for own in spent])
    return np.einsum("re,re...->r...", weights, success)


def cost_to_reach(
    success: Float[np.ndarray, "draw exam"], spent: Float[np.ndarray, "draw exam"], level: Float[np.ndarray, " draw"]
) -> Float[np.ndarray, " draw"]:
    """Least cost at which success reaches `level`, linear between exams; infinite where it never does.

    As `stages.pure.exam.tokens_to_reach`, where each draw has costs and a level of its own.
    """
    is_reached = success >= level[:, None] - TIE
    end = is_reached.argmax(axis=1)
    start = np.maximum(end - 1, 0)
    rows = np.arange(len(success))
    low, high = success[rows, start], success[rows, end]
    share = np.divide(level - low, high - low, out=np.zeros(len(rows)), where=high > low).clip(max=1)
    cost = spent[rows, start] + share * (spent[rows, end] - spent[rows, start])
    return np.where(is_reached.any(axis=1), cost, np.inf)


def reach(baseline: LearningCurve, arm: LearningCurve, num_resamples: int, confidence: float, seed: int) -> Reach:
    """Cost at which the arm's mean curve first reaches the baseline's final success, per cost of the baseline.

    Both levels are resampled: runs of each arm by themselves, and problems, once for all runs and exams, which all
    asked the same ones. The baseline's final success, and the cost at which its own curve first reaches that, are taken
    anew in every resample. NaN ratios, where the baseline takes no cost to end where it began, are counted and left
    out.
    """
    num_runs, _, num_problems = baseline.success.shape
    counts = [
        np.random.default_rng([seed, place])
        .multinomial(size, np.full(size, 1 / size), size=num_resamples)
        .astype(float)
        for place, size in enumerate((num_runs, len(arm.success), num_problems))
    ]
    level, ratio, _ = _ratios(baseline, arm, *(np.ones((1, part.shape[1])) for part in counts))
    _, ratios, is_never = _ratios(baseline, arm, *counts)
    least_runs = min(num_runs, len(arm.success))
    estimate = widened(float(ratio[0]), ratios[~np.isnan(ratios)], least_runs, confidence)
    return Reach(float(level[0]), estimate, float(is_never.mean()), float(np.isnan(ratios).mean()))


def _ratios(
    baseline: LearningCurve,
    arm: LearningCurve,
    baseline_counts: Float[np.ndarray, "draw run"],
    arm_counts: Float[np.ndarray, "draw another_run"],
    problem_counts: Float[np.ndarray, "draw problem"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level, cost ratio, and whether the arm never gets there, when each row counts so many times."""
    problems = problem_counts / problem_counts.sum(axis=1, keepdims=True)
    curves = []
    for curve, counts in ((baseline, baseline_counts), (arm, arm_counts)):
        runs = counts / counts.sum(axis=1, keepdims=True)
        by_exam = [((runs @ curve.success[:, place]) * problems).sum(axis=1) for place in range(curve.spent.shape[1])]
        curves.append((np.stack(by_exam, axis=1), runs @ curve.spent))
    level = curves[0][0][:, -1]
    before, after = (cost_to_reach(*curve, level) for curve in curves)
    ratio = np.divide(after, before, out=np.full(len(level), np.nan), where=before > 0)
    return level, ratio, np.isinf(after)


def widened(estimate: float, resampled: Float[np.ndarray, " draw"], num_runs: int, confidence: float) -> Estimate:
    """Percentile interval at levels widened for few runs: Φ(∓ t sqrt(n / (n − 1))), t Student's with n − 1 degrees.

    Hesterberg, arXiv 1411.5279 (expanded percentile interval). As if all spread came from runs, so it covers more
    where some comes from problems. With one run only problems vary, and the levels are the plain ones. Infinite
    resamples are the largest; without any resample the ends are unknown.
    """
    if not len(resampled):
        return Estimate(estimate, math.nan, math.nan)
    probability = (1 + confidence) / 2
    tail = ndtri(probability)
    if num_runs > 1:
        tail = stdtrit(num_runs - 1, probability) * math.sqrt(num_runs / (num_runs - 1))
    ordered, last = np.sort(resampled), len(resampled) - 1
    low, high = math.floor(ndtr(-tail) * last), math.ceil(ndtr(tail) * last)
    return Estimate(estimate, float(ordered[low]), float(ordered[high]))

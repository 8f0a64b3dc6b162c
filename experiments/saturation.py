"""Speed or ceiling? A learning curve as a sigmoid in the rounds: arrays in, arrays out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from experiments.reach import drawn_counts, widened
from stages.pure.estimates import Estimate

MIN_EXAMS = 5
"""A curve of three parameters from a known start says nothing with fewer."""
STEEPNESS = (0.5, 4.0)
FARTHEST = 4.0
"""Half of the gain is looked for within so many times the rounds that were run."""
AT_BOUND = 0.99


class Saturation(NamedTuple):
    """Where a curve ends, and how soon it is half way there."""

    ceiling: Estimate
    half_rounds: Estimate
    """Rounds to half of the way from the start to the ceiling."""
    unseen_frac: float
    """Share of resamples whose half way lies at the bound: there the ceiling is a guess."""


def sigmoid(
    rounds: Float[np.ndarray, " exam"], start: float, ceiling: float, half: float, steepness: float
) -> Float[np.ndarray, " exam"]:
    """Success = start + (ceiling − start) / (1 + (half / rounds)^steepness); `start` at no rounds.

    Equation 1 of Khatri et al. (arXiv 2510.13786), with rounds of equal size for compute.
    """
    with np.errstate(divide="ignore"):
        share = 1 / (1 + (half / rounds) ** steepness)
    return start + (ceiling - start) * share


def fit(
    success: Float[np.ndarray, " exam"], rounds: Float[np.ndarray, " exam"]
) -> tuple[float, float]:
    """Ceiling and half way by least squares; the first exam is the init's, its success the start.

    A flat curve ends where it began; one that falls has its ceiling below its start.
    """
    start, last = float(success[0]), float(rounds[-1])
    lowest, highest = (0.0, rounds[1] / 4, STEEPNESS[0]), (1.0, FARTHEST * last, STEEPNESS[1])

    def residuals(guess: np.ndarray) -> np.ndarray:
        return sigmoid(rounds[1:], start, *guess) - success[1:]

    best = min(
        (
            least_squares(
                residuals,
                np.clip((success[-1], half * last, 1.0), lowest, highest),
                bounds=(lowest, highest),
            )
            for half in (0.1, 0.5, 2.0)
        ),
        key=lambda found: float(found.cost),
    )
    return float(best.x[0]), float(best.x[1])


def saturation(
    success: Float[np.ndarray, "run exam problem"],
    rounds: Float[np.ndarray, " exam"],
    num_resamples: int,
    confidence: float,
    seed: int,
) -> Saturation:
    """The sigmoid of the mean curve, with intervals over runs and problems, both resampled."""
    num_runs, _, num_problems = success.shape
    draws = zip(*drawn_counts((num_runs, num_problems), num_resamples, seed), strict=True)
    found = []
    for runs, problems in draws:
        curve = np.einsum("r,rep,p->e", runs / num_runs, success, problems / num_problems)
        found.append(fit(curve, rounds))
    resampled = np.array(found)
    whole = np.array(fit(success.mean(axis=(0, 2)), rounds))
    influences = np.zeros((num_runs, 2))
    for run in range(num_runs if num_runs > 1 else 0):
        without = np.array(fit(np.delete(success, run, axis=0).mean(axis=(0, 2)), rounds))
        influences[run] = (num_runs - 1) * (whole - without)
    ceiling, half = (
        widened(float(whole[place]), resampled[:, place], [influences[:, place]], confidence)
        for place in range(2)
    )
    is_unseen = resampled[:, 1] >= AT_BOUND * FARTHEST * rounds[-1]
    return Saturation(ceiling, half, float(is_unseen.mean()))

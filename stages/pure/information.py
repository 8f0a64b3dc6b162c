"""What each segment told: success at boundaries, progress over segments, information gain, standard errors."""

import numpy as np
from jaxtyping import Float, Int

Success = Float[np.ndarray, " boundary"]
PerSegment = Float[np.ndarray, " segment"]


def set_success(logprobs: Float[np.ndarray, " answer"]) -> float:
    """J = ∑_{y correct} π(y | x, z_1..j): the exact success of an answer forced at temperature 1.

    The sum of probabilities of disjoint events; rounding may carry it a hair past 1, where it is held.
    """
    return float(min(1.0, np.exp(logprobs).sum()))


def sampled_success(rewards: Float[np.ndarray, " probe"]) -> float:
    """J = mean reward of the sampled answers; NaN rewards (failed verifiers) are left out, NaN if none is left."""
    judged = rewards[~np.isnan(rewards)]
    return float(judged.mean()) if len(judged) else float("nan")


def progress(success: Success) -> PerSegment:
    """Δ_j = J_j − J_{j−1} for segments 1 … k, from J_0 … J_k (MRT, arXiv 2503.07572, section 4).

    Never clipped at zero: clipped noise pays for useless segments. ∑_j Δ_j = J_k − J_0; without segments it is empty.
    """
    return np.diff(success)


def information_gain(logprobs: Float[np.ndarray, " boundary"]) -> PerSegment:
    """Log J_j − log J_{j−1} in nats, from log J: what a segment told about the set of correct answers.

    Positive where the set became likelier. Infinite only where a log-probability is.
    """
    return np.diff(logprobs)


def progress_stderr(success: Success, num_probes: Int[np.ndarray, " boundary"]) -> PerSegment:
    """sqrt(J_j (1 − J_j) / K_j + J_{j−1} (1 − J_{j−1}) / K_{j−1}): standard error of Δ_j from K sampled answers.

    Binomial, the two boundaries drawn independently. Zero where both estimates are 0 or 1, which at small K is the
    estimate's own blindness, not certainty. NaN where K is zero.
    """
    variance = np.divide(
        success * (1 - success), num_probes, out=np.full(len(success), np.nan), where=np.asarray(num_probes) > 0
    )
    return np.sqrt(variance[1:] + variance[:-1])

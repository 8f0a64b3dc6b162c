"""What each segment told: success at boundaries, progress, information gain, standard errors.

Of one rollout, or of several with as many boundaries each, in the rows of an array.
"""

import numpy as np
from jaxtyping import Float, Int

Success = Float[np.ndarray, "*rollout boundary"]
PerSegment = Float[np.ndarray, "*rollout segment"]
Counts = Int[np.ndarray, " distinct"]


def set_success(
    logprobs: Float[np.ndarray, "*boundary answer"],
) -> Float[np.ndarray, "*boundary"] | float:
    """J = ∑_{y correct} π(y | x, z_1..j): the exact success of an answer forced at temperature 1.

    The sum of probabilities of disjoint events; rounding may carry it a hair past 1, where it is
    held. Of one known answer among several correct ones it is a lower bound.
    """
    return np.minimum(1.0, np.exp(logprobs).sum(axis=-1))


def sampled_success(rewards: Float[np.ndarray, " probe"]) -> float:
    """J = mean reward of the sampled answers.

    NaN rewards (failed verifiers) are left out; NaN if none is left.
    """
    known = rewards[~np.isnan(rewards)]
    return float(known.mean()) if len(known) else float("nan")


def progress(success: Success) -> PerSegment:
    """Δ_j = J_j − J_{j−1} for segments 1 … k, from J_0 … J_k (MRT, arXiv 2503.07572, section 4).

    Never clipped at zero: clipped noise pays for useless segments. ∑_j Δ_j = J_k − J_0; without
    segments it is empty.
    """
    return np.diff(success)


def information_gain(logprobs: Success) -> PerSegment:
    """Log J_j − log J_{j−1} in nats, from log J: what a segment told about the correct answers.

    Of the whole set; or of the one known answer, as in Quiet-STaR (arXiv 2403.09629, section 4.4),
    summed over its tokens. IGPO (arXiv 2510.14967) takes the difference of exp(mean log-probability
    of a token) instead. Positive where the answers became likelier. Infinite only where a
    log-probability is.
    """
    return np.diff(logprobs)


def success_variance(rewards: Float[np.ndarray, " probe"]) -> float:
    """∑ (r − J)² / K² of the K rewards judged: the plug-in variance of J.

    That is J (1 − J) / K where rewards are 0 or 1. Zero where all agree, which at small K is the
    estimate's own blindness, not certainty. NaN where K is zero.
    """
    known = rewards[~np.isnan(rewards)]
    return float(known.var() / len(known)) if len(known) else float("nan")


def progress_stderr(variance: Success) -> PerSegment:
    """sqrt(Var J_j + Var J_{j−1}): standard error of Δ_j.

    The answers at two boundaries are drawn independently.
    """
    return np.sqrt(variance[..., 1:] + variance[..., :-1])


def interpolated(
    values: Success, boundary_index: Int[np.ndarray, " boundary"]
) -> Float[np.ndarray, "*rollout every"]:
    """J at every boundary 0 … k from those probed: linear in the index between two neighbours.

    Args:
        values: at the boundaries probed; NaN is carried to the boundaries on either side of it,
            not bridged.
        boundary_index: rises strictly from 0, the last is k. With one entry there is nothing
            between.
    """
    every = np.arange(boundary_index[-1] + 1)
    if len(every) == len(boundary_index):
        return values
    return np.apply_along_axis(lambda probed: np.interp(every, boundary_index, probed), -1, values)


def spread_evenly(
    per_stretch: Float[np.ndarray, "*rollout stretch"], boundary_index: Int[np.ndarray, " boundary"]
) -> PerSegment:
    """What holds from one probed boundary to the next, in equal parts to the segments between them.

    Between probed a < b linear interpolation gives each segment Δ = (J_b − J_a) / (b − a), so the
    standard error of J_b − J_a is spread just so: sqrt(Var J_a + Var J_b) / (b − a). That is the
    noise of sampling alone; how far the true curve is from the line, no sample says. Errors of one
    stretch are wholly correlated: they add up to the whole.
    """
    width = np.diff(boundary_index)
    return np.repeat(per_stretch / width, width, axis=-1)


def answer_entropy(counts: Counts) -> float:
    """H = −∑ p log p + (m − 1) / 2K in nats: entropy of the answers drawn, by Miller and Madow.

    Miller 1955. p = n / K over the m distinct answers of K draws. The plug-in sum alone is too low
    by about (m* − 1) / 2K, m* the number of answers possible (Paninski 2003, Neural Computation 15,
    section 4); the m seen stand for m*, so what stays is too low where many answers have yet to be
    seen. 0 where all agree; NaN without answers.
    """
    num_answers = counts.sum()
    if num_answers == 0:
        return float("nan")
    share = counts[counts > 0] / num_answers
    return float(-(share * np.log(share)).sum() + (len(share) - 1) / (2 * num_answers))


def entropy_fall(entropy: Success) -> PerSegment:
    """H_{j−1} − H_j in nats: how much surer a segment made the policy, right or wrong."""
    return -np.diff(entropy)

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
    """∑ (r − m)² / (K (K + 1)): variance of J, the mean of the K rewards judged.

    The sum and its mean m are over K + 2 rewards: those judged, a 0 and a 1. Divided by K + 1 it is
    the unbiased variance of one reward among them, by K once more that of a mean of K. One failure
    and one success added (in kind Agresti and Coull 1998, The American Statistician 52) keep it
    from 0 where few answers agree. Where s of K answers are right it is (s + 1) (K − s + 1) / (K
    (K + 1) (K + 2)), whose expectation exceeds J (1 − J) / K at every J, by (K + 1 − (4 K + 2)
    J (1 − J)) / (K (K + 1) (K + 2)): next to nothing at J = 1/2, most at J near 0 and 1. NaN where
    K is zero.
    """
    known = rewards[~np.isnan(rewards)]
    if not len(known):
        return float("nan")
    return float(np.concatenate([known, [0.0, 1.0]]).var(ddof=1) / len(known))


def progress_stderr(variance: Success) -> PerSegment:
    """sqrt(Var J_j + Var J_{j−1}): standard error of Δ_j.

    The answers at two boundaries are drawn independently. Δ_j ± 1.96 of it holds the truth in .9 of
    all draws or more, whatever the two J, from K = 3 answers on, and in .87 at K = 2; in nearly all
    where a J is near 0 or 1.
    """
    return np.sqrt(variance[..., 1:] + variance[..., :-1])


def carried(
    values: Success, boundary_index: Int[np.ndarray, " boundary"]
) -> Float[np.ndarray, "*rollout every"]:
    """J̃_j = J at the last probed boundary ≤ j, for every boundary 0 … k.

    J̃_{j−1} depends on nothing that comes after boundary j − 1, so that in credit to go, J_k −
    J̃_{j−1} for segment j, it is a baseline: the gradient is on average the one of J probed
    everywhere. A line between two probed boundaries is none, for it depends on the later one.

    Args:
        values: at the boundaries probed; NaN is carried too.
        boundary_index: rises strictly from 0, the last is k.
    """
    every = np.arange(boundary_index[-1] + 1)
    return values[..., np.searchsorted(boundary_index, every, side="right") - 1]


def carried_stderr(
    variance: Success, boundary_index: Int[np.ndarray, " boundary"]
) -> Float[np.ndarray, "*rollout segment"]:
    """Standard error of J̃_j − J̃_{j−1} from Var J at the boundaries probed.

    0 where boundary j was not probed, for there the two are one draw. A segment that ends at one
    probed has that of J_j less the last J before it. NaN where either J is.
    """
    stderr = progress_stderr(carried(variance, boundary_index))
    return stderr * np.isin(np.arange(1, boundary_index[-1] + 1), boundary_index)


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

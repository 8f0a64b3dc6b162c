"""How well a score in [0, 1] tells right answers from wrong ones.

And how a judge's words become such a score.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

DECISION = 0.5
"""An answer scored at least this counts as right: the judge finds the word for right no less likely
than the other.
"""


class Quality(NamedTuple):
    """Of scores against the truth.

    NaN where there are no answers, or none of one class that is needed.
    """

    base_rate: float
    accuracy: float
    balanced_accuracy: float
    auc: float
    brier: float


def right_probability(right_nats: float, wrong_nats: float) -> float:
    """P(right) = p_right / (p_right + p_wrong), of two words behind one text.

    Both arguments are log-probabilities of a whole word. All other continuations are left out, so
    that a judge unsure how to go on is not taken for one that says wrong; GenRM (arXiv 2408.15240,
    section 3) takes p_right as it is, which is the same where the two words hold all the mass.

    Two words that are impossible alike (both -inf) give 0.5: the judge says nothing.
    """
    if right_nats == wrong_nats:
        return 0.5
    return float(np.exp(right_nats - np.logaddexp(right_nats, wrong_nats)))


def balanced_weights(is_right: Bool[np.ndarray, " answer"]) -> Float[np.ndarray, " answer"]:
    """A weight for each answer, n / (2 n_c) with n_c the answers of its class.

    So both classes weigh n / 2.

    The mean weight is 1. With one class only, all weights are 1 / 2 and there is nothing to
    balance.
    """
    num_right = int(is_right.sum())
    counts = np.where(is_right, num_right, len(is_right) - num_right)
    return np.asarray(len(is_right) / (2 * counts), dtype=float)


def auc(scores: Float[np.ndarray, " answer"], is_right: Bool[np.ndarray, " answer"]) -> float:
    """Area under the ROC curve.

    The chance that a right answer is scored above a wrong one, ties counting half.

    By the mean rank of the right answers: AUC = (R - n_r (n_r + 1) / 2) / (n_r n_w), R the sum of
    their ranks among all scores (Mann-Whitney U, tied scores sharing their mean rank). NaN without
    an answer of either class.
    """
    num_right = int(is_right.sum())
    num_wrong = len(is_right) - num_right
    if not num_right or not num_wrong:
        return math.nan
    _, level, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[level]
    return float(
        (ranks[is_right].sum() - num_right * (num_right + 1) / 2) / (num_right * num_wrong)
    )


def quality(scores: Float[np.ndarray, " answer"], is_right: Bool[np.ndarray, " answer"]) -> Quality:
    """Accuracy at `DECISION`, its mean over both classes, AUC, and the Brier score.

    The last is the mean of (score - is_right)².

    The base rate is the share of right answers. To compare with: a judge that always names the
    larger class has accuracy max(b, 1 - b), balanced accuracy 1/2 and, at best, a Brier score of b
    (1 - b).
    """
    if not len(scores):
        return Quality(*[math.nan] * len(Quality._fields))
    is_hit = (scores >= DECISION) == is_right
    by_class = [
        float(is_hit[of_class].mean()) if of_class.any() else math.nan
        for of_class in (is_right, ~is_right)
    ]
    return Quality(
        base_rate=float(is_right.mean()),
        accuracy=float(is_hit.mean()),
        balanced_accuracy=sum(by_class) / 2,
        auc=auc(scores, is_right),
        brier=float(np.square(scores - is_right).mean()),
    )

"""Objective `regret`: the discounted area under the J curve."""

from stages.pure.credit import token_discounted
from stages.pure.objectives.arrays import Advantage, RoundArrays
from stages.pure.objectives.information import information


def regret(
    arrays: RoundArrays,
    alpha: float,
    token_discount: float,
    credit_discount: float,
    credit_baseline: str,
    normalize_credit_by_std: bool,
) -> Advantage:
    """`information` of γ^{t_j} Δ_j, γ the token's discount and t_j the tokens before j ends.

    It climbs the discounted area under the J curve (`token_discounted`). With `credit_discount` 1
    (to go), no scale and alpha 0 its gradient is the area's own.
    """
    segments = arrays.segments
    discounted = token_discounted(segments.gain, segments.used_tokens, token_discount)
    return information(
        arrays._replace(segments=segments._replace(gain=discounted)),
        alpha,
        credit_discount,
        credit_baseline,
        normalize_credit_by_std,
    )

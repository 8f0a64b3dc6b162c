"""Objective `regret`: the discounted area under the J curve."""

from stages.pure.credit import PerRollout, token_discounted
from stages.pure.objectives.arrays import Advantage, Scale, Segments
from stages.pure.objectives.information import information


def regret(
    outcome: PerRollout,
    segments: Segments,
    alpha: float,
    token_discount: float,
    discount: float,
    scale: Scale,
) -> Advantage:
    """`information` of γ^{t_j} Δ_j: climbs the discounted area under the J curve
    (`token_discounted`), γ for a token.

    With discount 1 (to go), no scale and alpha 0 its gradient is the area's own.
    """
    discounted = token_discounted(segments.gain, segments.used_tokens, token_discount)
    return information(outcome, segments._replace(gain=discounted), alpha, discount, scale)

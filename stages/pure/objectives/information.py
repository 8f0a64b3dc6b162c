"""Objective `information`: each segment is credited with what was gained from it on."""

from stages.pure.credit import Baseline, Scale, to_come
from stages.pure.objectives.arrays import Advantage, RoundArrays
from stages.pure.objectives.credited import credited


def information(
    arrays: RoundArrays,
    alpha: float,
    credit_discount: float,
    credit_baseline: Baseline,
    credit_scale: Scale,
) -> Advantage:
    """A_j = alpha · A_out + S(∑_{i ≥ j} credit_discount^{i−j} Δ_i) on thinking segment j.

    On the answer A_out (`credited`). Obj-2 of the meta-RL reading: segments are training episodes
    and earn what they tell, the answer is the test episode and earns the outcome. The sum
    telescopes, for `progress` at discount 1, to J_k − J_{j−1}. Its first part is the reward drawn,
    replaced by its expectation given the thinking (Rao and Blackwell); its second the baseline of
    the state that segment j starts from. So with alpha 0, discount 1, no baseline and no scale the
    thinking follows grad E r exactly, as under `outcome`, but without the noise of the answer's
    draw and with a baseline for each state in the place of one for each problem. Any alpha,
    discount, baseline or scale leaves that gradient: a discount below 1 is IGPO's form (arXiv
    2510.14967); `group_mean` is a charge on each segment that the answer does not pay.
    """
    segments = arrays.segments
    gained = to_come(segments.gain, segments.rollout, credit_discount)
    return credited(arrays, alpha, gained, credit_baseline, credit_scale)

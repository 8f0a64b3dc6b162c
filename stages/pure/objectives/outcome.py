"""Objective `outcome`: the final reward alone."""

import numpy as np

from stages.pure.credit import PerRollout
from stages.pure.objectives.arrays import Advantage, Segments


def outcome_only(outcome: PerRollout, segments: Segments, alpha: float) -> Advantage:
    """A = alpha · A_out on every segment: GRPO, the sparse objective that rewards the test episode
    alone.
    """
    return Advantage(alpha * outcome[segments.rollout], np.zeros(len(segments.rollout)))

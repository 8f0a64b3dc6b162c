"""Objective `outcome`: the final reward alone."""

import numpy as np

from stages.pure.objectives.arrays import Advantage, RoundArrays


def outcome(arrays: RoundArrays) -> Advantage:
    """A = A_out on every segment: GRPO, which rewards the test episode alone."""
    rollout = arrays.segments.rollout
    return Advantage(arrays.outcome[rollout], np.zeros(len(rollout)))

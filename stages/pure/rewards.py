"""Rewards of a round other than the verdict on the one answer drawn."""

import numpy as np
from jaxtyping import Int

from stages.pure.credit import PerRollout, PerSegment, RolloutOfSegment, group_mean


def success_reward(
    rewards: PerRollout,
    groups: Int[np.ndarray, " rollout"],
    rollout_of_segment: RolloutOfSegment,
    success_before: PerSegment,
    success_after: PerSegment,
) -> PerRollout:
    """J_k, the estimated success at the last boundary, in the place of the reward drawn there.

    E [r given the thinking] = J_k, so a policy gradient of J_k has the expectation of r's on the
    thinking tokens, and less variance; the answer's tokens are told nothing by it that their group
    is not. The arrays are over thinking segments, a rollout's in the order of its stream. A rollout
    without one answered at the first boundary: J_0, the mean over its group's first segments; 0
    where nobody in the group thought, since a group of equal rewards teaches alike whatever they
    are. NaN where J is unknown, or the verifier failed on the answer drawn.
    """
    starts, ends = np.full(len(rewards), np.nan), np.full(len(rewards), np.nan)
    firsts = np.unique(rollout_of_segment, return_index=True)[1]
    starts[rollout_of_segment[firsts]] = success_before[firsts]
    ends[rollout_of_segment] = success_after  # of several the last holds
    has_thought = np.isin(np.arange(len(rewards)), rollout_of_segment)
    in_thinking_group = np.isin(groups, groups[has_thought])
    known_starts = np.isin(groups, groups[~np.isnan(starts)])
    at_once = np.where(known_starts | ~in_thinking_group, group_mean(starts, groups), np.nan)
    success = np.where(has_thought, ends, at_once)
    return np.where(np.isnan(rewards), np.nan, success)

"""Objective `offline`: the correct rollouts of most progress are imitated."""

import numpy as np
from jaxtyping import Bool, Float, Int

from stages.pure.credit import PerRollout
from stages.pure.objectives.arrays import Advantage, RoundArrays, Segments

RIGHT_REWARD = 1.0


def progress_per_token(
    segments: Segments, thinking_tokens: Int[np.ndarray, " rollout"]
) -> Float[np.ndarray, " rollout"]:
    """∑_j Δ_j / thinking tokens of each rollout.

    Unknown gains count 0, and a rollout that did not think has 0. The total alone would not do: it
    telescopes to J_k − J_0, and J_0 is the problem's, so among the correct rollouts of a problem it
    would rank by the last boundary alone, whatever way led there.
    """
    totals = np.bincount(
        segments.rollout,
        weights=np.nan_to_num(segments.gain, nan=0.0),
        minlength=len(thinking_tokens),
    )
    return np.divide(totals, thinking_tokens, out=np.zeros(len(totals)), where=thinking_tokens > 0)


def imitated(
    rewards: PerRollout,
    groups: Int[np.ndarray, " rollout"],
    progress: Float[np.ndarray, " rollout"],
    keep_frac: float,
) -> Bool[np.ndarray, " rollout"]:
    """The correct rollouts (reward 1) to imitate: of each group the `keep_frac` of most progress.

    MRT's offline variant, STaR (arXiv 2503.07572): rollouts that make most progress and end
    correct. Ranked within the group, for J_0 differs between problems: a ranking over all would
    drop what the policy already knows. ⌈keep_frac · correct ones⌉ of a group, so a problem solved
    once is kept, and none where `keep_frac` is 0. Of equal progress the earlier rollout goes first.
    Neither a NaN reward nor partial credit is correct.
    """
    is_correct = rewards >= RIGHT_REWARD
    is_kept = np.zeros(len(rewards), dtype=bool)
    for group in np.unique(groups[is_correct]):
        members = np.flatnonzero(is_correct & (groups == group))
        ranked = members[np.argsort(-progress[members], kind="stable")]
        is_kept[ranked[: int(np.ceil(keep_frac * len(ranked)))]] = True
    return is_kept


def imitation(arrays: RoundArrays, keep_frac: float) -> Advantage:
    """Weight 1 on every segment of an imitated rollout, 0 on the others.

    NaN where the verifier failed.
    """
    progress = progress_per_token(arrays.segments, arrays.thinking_tokens)
    is_kept = imitated(arrays.rewards, arrays.groups, progress, keep_frac)
    weights = np.where(np.isnan(arrays.rewards), np.nan, is_kept.astype(np.float64))
    rollout = arrays.segments.rollout
    return Advantage(weights[rollout], np.zeros(len(rollout)))

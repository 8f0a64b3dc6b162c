"""What becomes of each rollout in an update: exactly one status, so that token counts add up."""

from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float


class Status(StrEnum):
    """Why a rollout's sampled tokens were trained, or were not."""

    TRAINED = "trained"
    ERRORED = "errored"
    """Its verifier failed: there is no reward to learn from."""
    TRUNCATED = "truncated"
    """It never ended, and the recipe masks such rollouts."""
    FILTERED_ZERO_ADVANTAGE = "filtered_zero_advantage"
    """Every token's advantage is zero, so is its gradient."""


def statuses(
    rewards: Float[np.ndarray, " rollout"],
    is_truncated: Bool[np.ndarray, " rollout"],
    largest_advantage: Float[np.ndarray, " rollout"],
    mask_truncated: bool,
) -> list[Status]:
    """The first status that applies, in the order errored, truncated, filtered, trained.

    `rewards` is NaN where the verifier failed; `largest_advantage` is the largest |A| over a rollout's tokens.
    """
    chosen = []
    for reward, truncated, advantage in zip(rewards, is_truncated, largest_advantage, strict=True):
        if np.isnan(reward):
            chosen.append(Status.ERRORED)
        elif truncated and mask_truncated:
            chosen.append(Status.TRUNCATED)
        elif advantage == 0:
            chosen.append(Status.FILTERED_ZERO_ADVANTAGE)
        else:
            chosen.append(Status.TRAINED)
    return chosen

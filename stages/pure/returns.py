"""What a value of a state is trained towards."""

import numpy as np
from jaxtyping import Float, Int


def lambda_returns(
    values: Float[np.ndarray, "rollout boundary"],
    rewards: Float[np.ndarray, " rollout"],
    num_boundaries: Int[np.ndarray, " rollout"],
    td_lambda: float,
) -> Float[np.ndarray, "rollout boundary"]:
    """TD(λ) targets for the value of each boundary.

    G_j = (1 − λ) V_{j+1} + λ G_{j+1}, and G_k = r at the last.

    The reward comes after the answer that follows boundary k; nothing before it is rewarded and
    nothing is discounted (Sutton and Barto 2018, eq. 12.18 in its recursive form, γ = 1). λ = 1
    gives r everywhere, λ = 0 the next value.

    Returns:
        Targets; past a rollout's `num_boundaries` (padding) they are its reward and mean nothing.
    """
    targets = np.repeat(rewards[:, None].astype(np.float64), values.shape[1], axis=1)
    for column in range(values.shape[1] - 2, -1, -1):
        mixed = (1 - td_lambda) * values[:, column + 1] + td_lambda * targets[:, column + 1]
        targets[:, column] = np.where(column < num_boundaries - 1, mixed, rewards)
    return targets

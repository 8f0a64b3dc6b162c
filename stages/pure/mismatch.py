"""How far the trainer's log-probabilities are from the sampler's, of the same tokens."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from stages.pure.losses import importance


class Mismatch(NamedTuple):
    """Of trainer from sampler, before the first step: |log p_trainer - log p_sampler|, nats.

    `ess_frac` is the effective sample size of the weights p_trainer / p_sampler over the number of
    tokens (`stages.pure.losses.Importance`). `largest` is where the largest is: a rollout, and
    which of its tokens.
    """

    num_tokens: int
    mean_nats: float
    max_nats: float
    ess_frac: float
    largest: tuple[int, int]


def mismatch(differences: Sequence[Float[np.ndarray, " _"]]) -> Mismatch:
    """Measured over the tokens of some rollouts, an array of log p_trainer - log p_sampler each.

    A difference that is no number counts as infinite. No token gives 0, and ess_frac 1.
    """
    flat = np.concatenate([np.zeros(0), *differences])
    if not len(flat):
        return Mismatch(0, 0.0, 0.0, 1.0, (0, 0))
    distance = np.nan_to_num(np.abs(flat), nan=np.inf, posinf=np.inf)
    top = int(distance.argmax())
    ends = np.cumsum([len(of_rollout) for of_rollout in differences])
    rollout = int(np.searchsorted(ends, top, side="right"))
    is_finite = bool(np.isfinite(flat).all())
    return Mismatch(
        num_tokens=len(flat),
        mean_nats=float(distance.mean()),
        max_nats=float(distance[top]),
        ess_frac=importance(flat, "truncate", np.inf).ess_frac if is_finite else 0.0,
        largest=(rollout, top - int(ends[rollout]) + len(differences[rollout])),
    )

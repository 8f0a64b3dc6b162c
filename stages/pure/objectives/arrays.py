"""What objectives take and give: arrays as in `stages.pure.credit`."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from stages.pure.credit import PerRollout, PerSegment, RolloutOfSegment

IsSegment = Bool[np.ndarray, " segment"]


class Segments(NamedTuple):
    """What is known of each segment. NaN: unknown, or there is none.

    `attempt_grade` is 1 where the attempt inside is correct and 0 where not; `verdict_grade` is 1
    where the policy's own verdict on it agrees with that. `is_attempt` holds where there is an
    attempt at all, graded or not. `used_tokens` are the rollout's sampled tokens up to its end.
    """

    rollout: RolloutOfSegment
    group: Int[np.ndarray, " segment"]
    start_tokens: Int[np.ndarray, " segment"]
    end_tokens: Int[np.ndarray, " segment"]
    gain: PerSegment
    is_attempt: IsSegment
    attempt_grade: PerSegment
    verdict_grade: PerSegment
    used_tokens: Int[np.ndarray, " segment"]


class RoundArrays(NamedTuple):
    """What every objective may use of a round.

    `outcome` is A_out, NaN where the verifier failed; so is `rewards` there. `std_epsilon` is added
    to every standard deviation that divides.
    """

    outcome: PerRollout
    rewards: PerRollout
    groups: Int[np.ndarray, " rollout"]
    thinking_tokens: Int[np.ndarray, " rollout"]
    segments: Segments
    std_epsilon: float


class Advantage(NamedTuple):
    """An advantage in its two parts: A = outcome + credit."""

    outcome: PerSegment
    credit: PerSegment

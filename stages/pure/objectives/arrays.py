"""What objectives take and give: arrays as in `stages.pure.credit`."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from stages.pure.controls import Control
from stages.pure.credit import PerRollout, PerSegment, RolloutOfSegment

IsSegment = Bool[np.ndarray, " segment"]


class Segments(NamedTuple):
    """What is known of each segment. NaN: unknown, or there is none.

    A segment is thinking, or the choice to stop (`stops_apart`), or else the answer.
    `attempt_grade` is 1 where the attempt inside is correct and 0 where not; `verdict_grade` is 1
    where the policy's own verdict on it agrees with that. `is_attempt` holds where there is an
    attempt at all, graded or not; `is_repeat` where thinking has the tokens of an earlier segment
    of its rollout. `used_tokens` are the tokens sampled of its rollout up to its end.
    """

    rollout: RolloutOfSegment
    group: Int[np.ndarray, " segment"]
    start_tokens: Int[np.ndarray, " segment"]
    end_tokens: Int[np.ndarray, " segment"]
    gain: PerSegment
    is_thinking: IsSegment
    is_stop: IsSegment
    is_attempt: IsSegment
    is_repeat: IsSegment
    attempt_grade: PerSegment
    verdict_grade: PerSegment
    used_tokens: Int[np.ndarray, " segment"]


class RoundArrays(NamedTuple):
    """What every objective may use of a round.

    `outcome` is A_out, NaN where the verifier failed; so is `rewards` there. `normalize_by_std`
    says whether A_out is divided, `std_epsilon` is added to every number that divides.
    `budget_tokens` is the longest thinking allowed. `control` and the `seed` of its draws are those
    of `stages.pure.controls`.
    """

    outcome: PerRollout
    rewards: PerRollout
    groups: Int[np.ndarray, " rollout"]
    thinking_tokens: Int[np.ndarray, " rollout"]
    segments: Segments
    normalize_by_std: bool
    std_epsilon: float
    budget_tokens: int
    control: Control | None
    seed: int


class Advantage(NamedTuple):
    """An advantage in its two parts: A = outcome + credit."""

    outcome: PerSegment
    credit: PerSegment

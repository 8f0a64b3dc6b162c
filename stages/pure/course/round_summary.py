"""What a round's rollouts amount to in a few numbers, summed while they stream through."""

import math

import numpy as np
from jaxtyping import Bool, Float, Int


class RoundSummary:
    """Sums over rollouts, problem by problem: memory grows with the problems alone."""

    def __init__(self, num_problems: int) -> None:
        self._num_rewarded = np.zeros(num_problems, dtype=int)
        self._rewards = np.zeros(num_problems)
        self._lowest = np.full(num_problems, math.inf)
        self._highest = np.full(num_problems, -math.inf)
        self._num_correct = np.zeros(num_problems, dtype=int)
        self._is_asked = np.zeros(num_problems, dtype=bool)
        self._totals = {"thinking_tokens": 0, "unparsable": 0, "unended": 0}
        self._num_rollouts = self._num_segments = self._num_repeats = 0

    def add(
        self,
        problem: Int[np.ndarray, " rollout"],
        reward: Float[np.ndarray, " rollout"],
        is_correct: Bool[np.ndarray, " rollout"],
        **counted: Int[np.ndarray, " rollout"],
    ) -> None:
        """Some rollouts: the problem of each by its index, its reward, NaN where it has none.

        `counted` are `thinking_tokens`, `unparsable` and `unended`.
        """
        rewarded = ~np.isnan(reward)
        of, values = problem[rewarded], reward[rewarded]
        np.add.at(self._num_rewarded, of, 1)
        np.add.at(self._rewards, of, values)
        np.minimum.at(self._lowest, of, values)
        np.maximum.at(self._highest, of, values)
        np.add.at(self._num_correct, of, is_correct[rewarded])
        self._is_asked[problem] = True
        self._num_rollouts += len(problem)
        for name in self._totals:
            self._totals[name] += int(counted[name].sum())

    def add_segments(self, num_segments: int, num_repeats: int) -> None:
        """Thinking segments of some rollouts, and how many equal an earlier one of their own."""
        self._num_segments += num_segments
        self._num_repeats += num_repeats

    def numbers(self) -> dict[str, float | None]:
        """Mean reward, success, its standard error over problems, and shares; tokens are a mean.

        None where there is nothing to take a number of.
        """
        known = self._num_rewarded > 0
        success = self._num_correct[known] / self._num_rewarded[known]
        has_one = self._highest[self._is_asked] <= self._lowest[self._is_asked]
        has_one |= ~known[self._is_asked]
        spread = success.std(ddof=1) / math.sqrt(len(success)) if len(success) > 1 else None
        return {
            "reward": _share(self._rewards.sum(), self._num_rewarded.sum()),
            "success": _share(success.sum(), len(success)),
            "success_stderr": None if spread is None else round(float(spread), 6),
            "thinking_tokens": _share(self._totals["thinking_tokens"], self._num_rollouts),
            "one_outcome_frac": _share(has_one.sum(), len(has_one)),
            "unparsable_frac": _share(self._totals["unparsable"], self._num_rollouts),
            "unended_frac": _share(self._totals["unended"], self._num_rollouts),
            "repeat_frac": _share(self._num_repeats, self._num_segments),
        }


def _share(part: float, whole: float) -> float | None:
    return round(float(part / whole), 6) if whole else None

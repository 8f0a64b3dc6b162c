"""Two searches whose success, information and gradients are known in closed form.

`hidden_arm`: one of d arms is good, and each segment opens one and finds it bad. After j segments a
forced answer picks among the d − j arms left: J_j = 1/(d − j).

`Search`: e3's chain of verified attempts (arXiv 2506.09026, the p^k model). An attempt hits with
probability q, and the policy always sees whether it did. After a miss it goes on with probability
c, else it guesses, right with probability g; the answer behind a hit is right. c is one number for
all misses, as in a bigram policy: what is learnt of going on holds at any depth. At c = 1 and g = 0
success within k attempts is 1 − (1 − q)^k.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import lcm
from typing import NamedTuple

import numpy as np

from stages.pure.objectives.arrays import Advantage, RoundArrays, Segments

ATTEMPT_TOKENS = 4


def hidden_arm_success(num_arms: int, num_segments: int) -> np.ndarray:
    """J_0 … J_k; at k = d − 1 one arm is left and J = 1."""
    return 1.0 / (num_arms - np.arange(num_segments + 1))


def hidden_arm_bits(num_arms: int, num_segments: int) -> np.ndarray:
    """Entropy of the arm lost in each segment: log2((d − j + 1) / (d − j))."""
    left = num_arms - np.arange(num_segments + 1)
    return np.log2(left[:-1] / left[1:])


def area_by_tokens(
    success: np.ndarray, end_tokens: np.ndarray, discount: float, num_tokens: int = 20_000
) -> float:
    """(1 − γ) ∑_t γ^t J(t), token by token: success at each budget, flat after the last."""
    budgets = np.arange(num_tokens)
    reached = success[np.searchsorted(end_tokens, budgets, side="right")]
    return float((1 - discount) * (discount**budgets * reached).sum())


class Stream(NamedTuple):
    """One way the search may go: attempts, whether the last hit, whether it stopped, the reward."""

    probability: Fraction
    num_attempts: int
    is_hit: bool
    is_stopped: bool
    reward: int


@dataclass(frozen=True)
class Search:
    """The chain of attempts; see the module. Behind `budget_attempts` misses a guess is forced."""

    hit: Fraction
    guess: Fraction
    budget_attempts: int

    def success(self, go_on: float) -> float:
        """E r = P(hit) + g · P(no hit), with P(hit) = c q (1 − s^B) / (1 − s).

        s = c (1 − q) is the chance of one more miss.
        """
        miss = go_on * (1 - float(self.hit))
        hit = go_on * float(self.hit) * (1 - miss**self.budget_attempts) / (1 - miss)
        return hit + float(self.guess) * (1 - hit)

    def area(self, go_on: float, token_discount: float) -> float:
        """Expected discounted area under J: g + (1 − g) ∑_j γ^{t_j} P(hit at attempt j)."""
        miss = go_on * (1 - float(self.hit))
        attempts = np.arange(1, self.budget_attempts + 1)
        hits = go_on * float(self.hit) * miss ** (attempts - 1)
        return float(self.guess) + (1 - float(self.guess)) * float(
            (token_discount ** (ATTEMPT_TOKENS * attempts) * hits).sum()
        )

    def streams(self, go_on: Fraction) -> Iterator[Stream]:
        """Every stream, with its probability."""
        for attempts in range(self.budget_attempts + 1):
            missed = (go_on * (1 - self.hit)) ** attempts
            is_stopped = attempts < self.budget_attempts
            for reward in (0, 1):
                guessed = self.guess if reward else 1 - self.guess
                yield Stream(
                    missed * (1 - go_on if is_stopped else 1) * guessed,
                    attempts,
                    False,
                    is_stopped,
                    reward,
                )
            if attempts:
                before = (go_on * (1 - self.hit)) ** (attempts - 1)
                yield Stream(before * go_on * self.hit, attempts, True, False, 1)

    def group(self, go_on: Fraction) -> "Group":
        """Every stream as often as its share: one group whose means are expectations, exactly."""
        streams = [stream for stream in self.streams(go_on) if stream.probability]
        size = lcm(*(stream.probability.denominator for stream in streams))
        return Group(self, go_on, [s for s in streams for _ in range(int(s.probability * size))])


@dataclass(frozen=True)
class Group:
    """Rollouts of one problem, sampled from the search in exact proportion."""

    search: Search
    go_on: Fraction
    streams: list[Stream]

    @property
    def rewards(self) -> np.ndarray:
        return np.array([float(stream.reward) for stream in self.streams])

    @property
    def groups(self) -> np.ndarray:
        return np.zeros(len(self.streams), dtype=int)

    @property
    def thinking_tokens(self) -> np.ndarray:
        return np.array([ATTEMPT_TOKENS * stream.num_attempts for stream in self.streams])

    def arrays(self, outcome: np.ndarray) -> RoundArrays:
        """The round, its rollouts having this advantage of their outcome."""
        thinking, segments = self.thinking_tokens, self.segments()
        return RoundArrays(
            outcome=outcome,
            rewards=self.rewards,
            groups=self.groups,
            thinking_tokens=thinking,
            segments=segments,
            normalize_by_std=False,
            std_epsilon=1e-4,
            budget_tokens=ATTEMPT_TOKENS * self.search.budget_attempts,
            control=None,
            seed=0,
        )

    def segments(self) -> Segments:
        """Attempts, then the choice to stop, of each rollout; a hit brings success from g to 1.

        The answer behind it is no choice: there is nothing of the policy in it.
        """
        rows = [(row, j) for row, s in enumerate(self.streams) for j in range(s.num_attempts + 1)]
        rollout, index = (np.array(column) for column in zip(*rows, strict=True))
        num_attempts, is_hit = (np.array([s[field] for s in self.streams]) for field in (1, 2))
        is_attempt = index < num_attempts[rollout]
        hits = (index == num_attempts[rollout] - 1) & is_hit[rollout]
        return Segments(
            rollout=rollout,
            group=np.zeros(len(rollout), dtype=int),
            start_tokens=ATTEMPT_TOKENS * index,
            end_tokens=ATTEMPT_TOKENS * (index + 1),
            used_tokens=ATTEMPT_TOKENS * (index + 1),
            gain=np.where(is_attempt, hits * (1 - float(self.search.guess)), np.nan),
            is_thinking=is_attempt,
            is_stop=~is_attempt,
            is_attempt=is_attempt,
            is_repeat=np.zeros(len(rollout), dtype=bool),
            attempt_grade=np.where(is_attempt, hits, np.nan),
            verdict_grade=np.where(is_attempt, 1.0, np.nan),
        )

    def gradient(self, advantage: Advantage) -> float:
        """E ∑ A ∇ log π over the policy's choices, by the logit of going on.

        To go on is the first token of an attempt, to stop the first of the answer; a forced answer
        is no choice, nor is the answer to a hit.
        """
        segments, c = self.segments(), float(self.go_on)
        is_stopped = np.array([stream.is_stopped for stream in self.streams])[segments.rollout]
        slope = np.where(segments.is_attempt, 1 - c, np.where(is_stopped, -c, 0.0))
        return float((slope * (advantage.outcome + advantage.credit)).sum() / len(self.streams))


GRID = [Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)]
SEARCHES = [
    Search(hit, guess, 3) for hit, guess in product(GRID[:2], (Fraction(0), Fraction(1, 4)))
]

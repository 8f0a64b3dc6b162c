"""A small policy all of whose streams, and all pairs of them, are enumerated.

Thoughts `a` and `b`, at most two; after each but the last the policy chooses to stop or to think
on. Then it answers, right with a chance of its own for every state. All its parameters are logits,
in float64: of the choices among `a`, `b` and stopping in each state, and of a right answer. A group
is a pair of streams, as likely as their product, so what an update follows in expectation is a sum.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from stages.pure.credit import group_normalized
from stages.pure.objectives.arrays import Advantage, RoundArrays, Segments

THOUGHT_TOKENS = {"a": 2, "b": 3}
STATES = ("", "a", "b", "aa", "ab", "ba", "bb")
"""Thoughts so far."""
CHOOSING = STATES[:3]
"""Where the policy chooses whether to think on."""
STREAMS = tuple((state, reward) for state in STATES for reward in (0, 1))
STOP, NUM_ACTIONS = 2, 3
BUDGET_TOKENS = 6
PAIR = 2
NAN = float("nan")
Formula = Callable[[RoundArrays], Advantage]


def choices(state: str, reward: int) -> list[int]:
    """What a stream chose, by the index of its log-probability: thoughts, to stop, the answer."""
    thoughts = [
        NUM_ACTIONS * CHOOSING.index(state[:j]) + "ab".index(thought)
        for j, thought in enumerate(state)
    ]
    stop = [NUM_ACTIONS * CHOOSING.index(state) + STOP] if state in CHOOSING else []
    answers = NUM_ACTIONS * len(CHOOSING)
    return [*thoughts, *stop, answers + 2 * STATES.index(state) + reward]


@dataclass(frozen=True)
class Policy:
    """Logits of the choices in each state, and of a right answer."""

    thinking: Tensor
    answering: Tensor

    @property
    def success(self) -> dict[str, float]:
        """J of each state."""
        return dict(zip(STATES, self.successes, strict=True))

    @property
    def successes(self) -> tuple[float, ...]:
        """J of each state, in their order."""
        return tuple(self.answering.detach().sigmoid().tolist())

    def logprobs(self) -> Tensor:
        """Of every choice."""
        answers = torch.stack([-self.answering, self.answering], dim=-1)
        parts = self.thinking.log_softmax(-1), torch.nn.functional.logsigmoid(answers)
        return torch.cat([part.flatten() for part in parts])

    def chances(self) -> Tensor:
        """Of every stream."""
        logprobs = self.logprobs()
        return torch.stack([logprobs[choices(*stream)].sum().exp() for stream in STREAMS])

    def gradient_of(self, worth: Callable[[str, int], float]) -> tuple[Tensor, Tensor]:
        """Of the expectation of what each stream is worth, by both kinds of parameters."""
        worths = torch.tensor([worth(*stream) for stream in STREAMS], dtype=torch.float64)
        return self.gradient((self.chances() * worths).sum())

    def gradient(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """By both kinds of parameters."""
        found = torch.autograd.grad(value, [self.thinking, self.answering], allow_unused=True)
        thinking, answering = (torch.zeros(1) if grad is None else grad for grad in found)
        return thinking, answering

    def update(self, formula: Formula) -> tuple[Tensor, Tensor]:
        """E over pairs of the mean over rollouts of ∑ A ∇ log π."""
        chances = self.chances().detach().numpy()
        arrays, chosen = pairs(self.successes)
        weights = np.outer(chances, chances).ravel()[arrays.segments.group] / PAIR
        advantage = formula(arrays)
        logprobs = self.logprobs()
        pulls = np.bincount(
            chosen,
            weights=weights * (advantage.outcome + advantage.credit),
            minlength=len(logprobs),
        )
        return self.gradient((torch.from_numpy(pulls) * logprobs).sum())


def policy(thinking: np.ndarray, answering: np.ndarray) -> Policy:
    """A policy of these logits."""
    logits = (torch.tensor(values, dtype=torch.float64) for values in (thinking, answering))
    return Policy(*(values.requires_grad_() for values in logits))


def drawn(seed: int) -> Policy:
    """A policy far from uniform."""
    rng = np.random.default_rng(seed)
    return policy(rng.normal(size=(len(CHOOSING), NUM_ACTIONS)), rng.normal(size=len(STATES)))


@cache
def pairs(successes: tuple[float, ...]) -> tuple[RoundArrays, np.ndarray]:
    """Every pair of streams as a group, and what each segment chose."""
    success = dict(zip(STATES, successes, strict=True))
    streams = [stream for left in STREAMS for right in STREAMS for stream in (left, right)]
    rewards = np.array([float(reward) for _, reward in streams])
    groups = np.repeat(np.arange(len(STREAMS) ** 2), PAIR)
    columns, chosen = [], []
    for row, (state, reward) in enumerate(streams):
        made = choices(state, reward)
        chosen += made
        columns += [(row, *segment_of(state, j, len(made), success)) for j in range(len(made))]
    rollout, is_thinking, is_stop, gain, used = (
        np.array(column) for column in zip(*columns, strict=True)
    )
    nowhere = np.zeros(len(rollout), dtype=bool)
    segments = Segments(
        rollout=rollout,
        group=groups[rollout],
        start_tokens=used,
        end_tokens=used,
        gain=gain,
        is_thinking=is_thinking,
        is_stop=is_stop,
        is_attempt=is_thinking,
        is_repeat=nowhere,
        attempt_grade=np.where(is_thinking, gain > 0, NAN),
        verdict_grade=np.full(len(rollout), NAN),
        used_tokens=used,
    )
    arrays = RoundArrays(
        outcome=group_normalized(rewards, groups, False, 1e-4),
        rewards=rewards,
        groups=groups,
        thinking_tokens=np.array([ends(state)[-1] for state, _ in streams]),
        segments=segments,
        normalize_by_std=False,
        std_epsilon=1e-4,
        budget_tokens=BUDGET_TOKENS,
        control=None,
        seed=0,
    )
    return arrays, np.array(chosen)


def segment_of(
    state: str, index: int, num_choices: int, success: dict[str, float]
) -> tuple[bool, bool, float, int]:
    """Whether it is thinking, or the choice to stop; its gain; tokens up to its end."""
    is_thinking = index < len(state)
    used = ends(state)[min(index + 1, len(state))]
    if not is_thinking:
        return False, index < num_choices - 1, NAN, used
    return True, False, success[state[: index + 1]] - success[state[:index]], used


def ends(state: str) -> list[int]:
    """Tokens up to each boundary, the first is 0."""
    return [0, *np.cumsum([THOUGHT_TOKENS[thought] for thought in state]).tolist()]

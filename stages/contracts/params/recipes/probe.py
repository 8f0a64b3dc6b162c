"""What params.yaml says of estimating success at a boundary: `recipes.<recipe>.probe`.

What an estimator leaves behind, and what can be made of it, stands beside its keys: `infogain`,
`validate` and the report ask for that, and nobody asks its name but the table of `stages.probe`.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from stages.contracts.params.base import Count, Fraction, Positive, Section

LEAST_FOR_ENTROPY = 8


class AdaptiveProbes(Section):
    """So many answers that a pilot of `num_probes` has their standard error below `max_stderr`.

    `num_probes` at least and `max_probes` at most, drawn besides the pilot, which counts for
    nothing else.
    """

    max_probes: Annotated[int, Field(ge=2)]
    max_stderr: Positive


class ProbeTraits(Section):
    """What an estimator leaves at a boundary; each says where it differs."""

    success_from: ClassVar[Literal["known_answers", "sampled_answers", "value"]]
    """What success is: the probability of answers known to be correct, the mean reward of answers
    sampled, or the number in column `value`.
    """
    nats_from: ClassVar[Literal["log_success", "entropy"] | None] = None
    """What the information in a segment is: growth of log success, fall in entropy, or nothing."""
    needs_all_answers: ClassVar[bool] = False
    """Whether every correct answer of a problem must be known."""

    @property
    def num_answers(self) -> tuple[int, int | None]:
        """Fewest and most answers tried at a boundary; None where there is no bound."""
        return 0, 0

    @property
    def sampled_tokens(self) -> Count | None:
        """Tokens that a sampled answer may take; None where none is sampled."""
        return None

    @property
    def inner_frac(self) -> Fraction | None:
        """Chance of a boundary inside a rollout to be probed; None where every one is."""
        return None

    @property
    def is_thinned(self) -> bool:
        """Whether boundaries inside a rollout may go without a probe."""
        return self.inner_frac is not None

    @property
    def is_gated(self) -> bool:
        """Whether nats count only as far as the boundary behind them succeeds."""
        return False


class _Likelihood(ProbeTraits):
    """An estimator by the likelihood of answers known to be correct."""

    success_from: ClassVar[Literal["known_answers"]] = "known_answers"
    nats_from: ClassVar[Literal["log_success"]] = "log_success"
    temperature: Positive
    """That of the policy whose likelihood it is: of softmax(logits / temperature)."""
    micro_batch_tokens: Count


class SetLikelihood(_Likelihood):
    """∑ over all correct y of π(y given x, z_1..i, cue)."""

    estimator: Literal["set_likelihood"]
    needs_all_answers: ClassVar[bool] = True

    @property
    def num_answers(self) -> tuple[int, int | None]:
        """All of the problem's."""
        return 1, None


class AnswerLikelihood(_Likelihood):
    """The same of the one known answer: too low if others are right."""

    estimator: Literal["answer_likelihood"]

    @property
    def num_answers(self) -> tuple[int, int | None]:
        """The one."""
        return 1, 1


class _Sampled(ProbeTraits):
    """An estimator by `num_probes` answers sampled."""

    success_from: ClassVar[Literal["sampled_answers"]] = "sampled_answers"
    num_probes: Annotated[int, Field(ge=2)]
    answer_tokens: Count
    temperature: Positive
    shard_rollouts: Count | None = None
    """Boundaries of so many rollouts are asked about in one go, by one engine; without it, of all.
    """

    @property
    def growth(self) -> AdaptiveProbes | None:
        """How a pilot chooses the number of answers; None where it is `num_probes`."""
        return None

    @property
    def num_answers(self) -> tuple[int, int]:
        """Fewest and most, without a pilot's."""
        return self.num_probes, self.growth.max_probes if self.growth else self.num_probes

    @property
    def max_completions(self) -> int:
        """Most completions sampled at a boundary, a pilot's too."""
        return self.num_answers[1] + (self.num_probes if self.growth else 0)

    @property
    def sampled_tokens(self) -> Count:
        """Tokens that a sampled answer may take."""
        return self.answer_tokens


class ForcedAnswer(_Sampled):
    """Mean reward of K sampled answers: the share of correct ones.

    With `boundary_frac` a random share of the boundaries inside a rollout is probed, the first and
    the last always; elsewhere success is that of the last one probed before.
    """

    estimator: Literal["forced_answer"]
    adaptive: AdaptiveProbes | None = None
    boundary_frac: Fraction | None = None

    @property
    def growth(self) -> AdaptiveProbes | None:
        """How a pilot chooses the number of answers; None where it is `num_probes`."""
        return self.adaptive

    @property
    def inner_frac(self) -> Fraction | None:
        """Chance of a boundary inside a rollout to be probed; None where every one is."""
        return self.boundary_frac

    @model_validator(mode="after")
    def _probes_rise(self) -> "ForcedAnswer":
        if self.adaptive and self.adaptive.max_probes < self.num_probes:
            raise ValueError(
                f"adaptive.max_probes {self.adaptive.max_probes} is below "
                f"num_probes {self.num_probes}"
            )
        return self


class AnswerEntropy(_Sampled):
    """As in `forced_answer`.

    With `gate_by_success` a fall in entropy counts only as far as the boundary behind it succeeds,
    else a policy is paid for being sure of a wrong answer.
    """

    estimator: Literal["answer_entropy"]
    nats_from: ClassVar[Literal["entropy"]] = "entropy"
    gate_by_success: bool

    @field_validator("num_probes")
    @classmethod
    def _entropy_is_seen(cls, num_probes: int) -> int:
        if num_probes < LEAST_FOR_ENTROPY:
            raise ValueError(
                f"entropy of fewer than {LEAST_FOR_ENTROPY} answers is too low by nats, not by "
                f"hundredths; ask for {LEAST_FOR_ENTROPY} or more"
            )
        return num_probes

    @property
    def is_gated(self) -> bool:
        """Whether nats count only as far as the boundary behind them succeeds."""
        return self.gate_by_success


class Continued(_Sampled):
    """Mean reward of K continuations to the end of the budget: of going on, not of answering now.

    As the Monte Carlo values of VinePPO (arXiv 2410.01679, section 4).
    """

    estimator: Literal["continued"]

    @property
    def max_completions(self) -> int:
        """Thinking and an answer for each."""
        return 2 * self.num_probes


class Critic(ProbeTraits):
    """Learned value of the prefix.

    A network on the policy's hidden state at the boundary, trained on the round's own rewards by
    TD(`td_lambda`), in `num_folds` parts: no rollout is valued by a critic that has seen its
    problem.
    """

    estimator: Literal["critic"]
    success_from: ClassVar[Literal["value"]] = "value"
    num_folds: Annotated[int, Field(ge=2)]
    num_epochs: Count
    hidden_size: Count
    td_lambda: Fraction
    learning_rate: Positive
    micro_batch_tokens: Count


Probe = Annotated[
    SetLikelihood | AnswerLikelihood | ForcedAnswer | AnswerEntropy | Continued | Critic,
    Field(discriminator="estimator"),
]

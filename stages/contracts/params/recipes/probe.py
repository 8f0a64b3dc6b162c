"""What params.yaml says of estimating success at a boundary: `recipes.<recipe>.probe`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.contracts.params.base import Count, Fraction, Positive, Section


class SetLikelihood(Section):
    """Success at a boundary = probability of the whole set of correct answers, exactly."""

    estimator: Literal["set_likelihood"]
    micro_batch_tokens: Count


class AnswerLikelihood(Section):
    """Success at a boundary = probability of the one known answer: too low where others are right
    as well.
    """

    estimator: Literal["answer_likelihood"]
    micro_batch_tokens: Count


class AdaptiveProbes(Section):
    """As many answers again, up to `max_probes`, while the standard error of success is above
    `max_stderr`.
    """

    max_probes: Annotated[int, Field(ge=2)]
    max_stderr: Positive


class ForcedAnswer(Section):
    """Success at a boundary = mean reward of `num_probes` sampled answers: where nothing is paid in
    parts, a share.

    With `boundary_frac` a random share of the boundaries inside a rollout is probed, the first and
    the last always; success between two probed ones is interpolated.
    """

    estimator: Literal["forced_answer"]
    num_probes: Annotated[int, Field(ge=2)]
    answer_tokens: Count
    temperature: Positive
    adaptive: AdaptiveProbes | None = None
    boundary_frac: Fraction | None = None
    shard_rollouts: Count | None = None
    """Boundaries of so many rollouts are asked about in one go, by one engine; without it, of all.
    """

    @model_validator(mode="after")
    def _probes_rise(self) -> "ForcedAnswer":
        if self.adaptive and self.adaptive.max_probes < self.num_probes:
            raise ValueError(
                f"adaptive.max_probes {self.adaptive.max_probes} is below num_probes {self.num_probes}"
            )
        return self


class AnswerEntropy(Section):
    """Success as in `forced_answer`; information = fall in entropy of the sampled answers, nats.

    With `gate_by_success` a fall counts only as far as the boundary behind it succeeds, else a
    policy is paid for being sure of a wrong answer.
    """

    estimator: Literal["answer_entropy"]
    num_probes: Annotated[int, Field(ge=2)]
    gate_by_success: bool
    answer_tokens: Count
    temperature: Positive
    shard_rollouts: Count | None = None
    """Boundaries of so many rollouts are asked about in one go, by one engine; without it, of all.
    """


class Critic(Section):
    """Success = a learned value of the prefix: a network on the policy's hidden state at the
    boundary.

    Trained on the round's own rewards by TD(`td_lambda`), in `num_folds` parts: no rollout is
    valued by a critic that has seen its problem.
    """

    estimator: Literal["critic"]
    num_folds: Annotated[int, Field(ge=2)]
    num_epochs: Count
    hidden_size: Count
    td_lambda: Fraction
    learning_rate: Positive
    micro_batch_tokens: Count


Probe = Annotated[
    SetLikelihood | AnswerLikelihood | ForcedAnswer | AnswerEntropy | Critic,
    Field(discriminator="estimator"),
]
ESTIMATORS = ("set_likelihood", "answer_likelihood", "forced_answer", "answer_entropy", "critic")
NATS_ESTIMATORS = ("set_likelihood", "answer_likelihood", "answer_entropy")

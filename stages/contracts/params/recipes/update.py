"""What params.yaml says of one update: `recipes.<recipe>.update`."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from stages.contracts.params.base import Count, Fraction, Positive, Section
from stages.contracts.params.lora import Lora
from stages.contracts.params.optimizer import AdamW
from stages.contracts.params.recipes.objective import Objective

Loss = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo"]
Surrogate = Literal["clipped", "sequence_clipped", "clipped_weight", "likelihood"]
Average = Literal["sequences", "tokens", "budget"]


class LossTraits(NamedTuple):
    """What a loss is made of, both by their names in `stages.pure.losses`."""

    surrogate: Surrogate
    """What of a token is maximised."""
    average: Average
    """Over what it is averaged."""
    arxiv: str


LOSSES: Mapping[Loss, LossTraits] = {
    "grpo": LossTraits("clipped", "sequences", "2402.03300"),
    "dr_grpo": LossTraits("clipped", "budget", "2503.20783"),
    "dapo": LossTraits("clipped", "tokens", "2503.14476"),
    "gspo": LossTraits("sequence_clipped", "sequences", "2507.18071"),
    "cispo": LossTraits("clipped_weight", "tokens", "2506.13585"),
}


class ImportanceCorrection(Section):
    """Of sampler to trainer mismatch: a token's weight is their ratio before the first step.

    `truncate` holds it at `cap`, `mask` leaves out tokens where it is above `cap` or below 1 /
    `cap`.
    """

    kind: Literal["truncate", "mask"]
    cap: Annotated[float, Field(gt=1)]


class Limits(Section):
    """Beyond which nothing is trained: one problem would be the update, or one token."""

    max_abs_advantage: Positive
    """Of a trained token."""
    largest_group_share: Annotated[float, Field(gt=0, le=1)]
    """One problem's share of the sum of |advantage| over trained tokens."""


class MismatchLimits(Section):
    """Beyond which nothing is trained: the rollouts' log-probabilities are not the policy's.

    Of |log p_trainer - log p_sampler| before the first step, over sampled tokens.
    """

    mean_nats: Positive
    max_nats: Positive
    min_ess_frac: Annotated[float, Field(gt=0, le=1)]
    """Least effective sample size of the weights p_trainer / p_sampler, over the number of tokens.
    """


class Update(Section):
    """One round's policy update: an advantage for every token, and the loss that follows it.

    A key that may be absent switches something off by its absence, or is `reward`, verified where
    nothing else is said; there are no other defaults.
    """

    objective: Objective
    normalize_by_std: bool
    std_epsilon: Positive
    mask_truncated: bool
    loss: Loss
    clip_low: Fraction
    clip_high: Positive
    epochs: Count
    minibatches_per_epoch: Count
    micro_batch_tokens: Count
    optimizer: AdamW
    reward: Literal["verified", "success"] = "verified"
    """What A_out is made of: the verdict on the answer drawn, or the success that `gains` estimate
    at the last boundary.
    """
    control: Literal["shuffled", "flat", "bonus", "shuffled_rounds"] | None = None
    """Put in the place of the segments' credit, to see what an objective gains without it: the
    group's or the round's credits dealt anew, the rollout's mean, or the round's mean.
    """
    repeat_penalty: Positive | None = None
    """Taken from the advantage of a thinking segment that an earlier one of its rollout equals."""
    limits: Limits | None = None
    mismatch_limits: MismatchLimits | None = None
    length_penalty: Positive | None = None
    """Taken from the reward of a thinking stream as long as the budget; in proportion from a
    shorter one.
    """
    filter_groups: Literal["one_outcome"] | None = None
    """Leave out groups whose rewards are all equal."""
    kl_coefficient: Positive | None = None
    """Weight of KL(policy ‖ the round's `reference`), k3 estimate."""
    entropy_coefficient: Positive | None = None
    importance_correction: ImportanceCorrection | None = None
    row_tokens: Count | None = None
    """Lay rollouts end to end in rows of this many tokens, instead of padding each to the longest.
    """
    lora: Lora | None = None
    """Train an adapter; absent, all of the policy."""

    @property
    def reads_gains(self) -> bool:
        """Whether it learns from what was measured at boundaries, and so is charged for probes."""
        return self.objective.reads_gains or self.reward == "success"

    @property
    def surrogate(self) -> Surrogate:
        """What of a token is maximised: as `loss` has it, or its weighed likelihood."""
        return "likelihood" if self.objective.imitates else LOSSES[self.loss].surrogate

    @property
    def average(self) -> Average:
        """Over what that is averaged."""
        return LOSSES[self.loss].average

    @model_validator(mode="after")
    def _objective_is_served(self) -> "Update":
        objective = self.objective
        if objective.holds_first_attempt and self.kl_coefficient is None:
            raise ValueError(
                f"objective {objective.name} holds the first attempt near the reference: it needs "
                "kl_coefficient"
            )
        if objective.imitates and self.importance_correction is not None:
            raise ValueError(
                f"objective {objective.name} is a likelihood without a ratio: it has no use for "
                "importance_correction"
            )
        return self

    @model_validator(mode="after")
    def _advantage_has_what_is_changed(self) -> "Update":
        objective = self.objective
        if self.control is not None and not objective.credits_segments:
            raise ValueError(
                f"objective {objective.name} credits no segments: control {self.control} has "
                "nothing to take the place of; choose another objective, or leave it out"
            )
        if self.length_penalty is not None and getattr(objective, "alpha", 1.0) == 0:
            raise ValueError(
                f"length_penalty reaches thinking by alpha, and objective {objective.name} has "
                "alpha 0: raise alpha, or leave the penalty out"
            )
        if objective.imitates:
            changed = {"reward success": self.reward == "success"}
            changed["repeat_penalty"] = self.repeat_penalty is not None
            for key in (key for key, is_asked in changed.items() if is_asked):
                raise ValueError(
                    f"objective {objective.name} has weights of 1 and 0 and no advantage: it has "
                    f"no use for {key}"
                )
        return self

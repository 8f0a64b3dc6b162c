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


class Update(Section):
    """One round's policy update: an advantage for every token, and the loss that follows it.

    A key that may be absent switches something off by its absence; there are no other defaults.
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

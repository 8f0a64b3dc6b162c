"""What params.yaml says of one update: `recipes.<recipe>.update`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.contracts.params.base import Count, Fraction, NotNegative, Positive, Section
from stages.contracts.params.lora import Lora
from stages.contracts.params.optimizer import AdamW


class ImportanceCorrection(Section):
    """Of sampler to trainer mismatch: each token's weight is the ratio of the two before the first
    step.

    `truncate` holds it at `cap`, `mask` leaves out tokens where it is above `cap` or below 1 /
    `cap`.
    """

    kind: Literal["truncate", "mask"]
    cap: Annotated[float, Field(gt=1)]


class Update(Section):
    """One round's policy update: an advantage for every token, and the loss that follows it.

    A key that may be absent switches something off by its absence; there are no other defaults.
    """

    objective: Literal["outcome", "process", "information", "regret", "self_correction", "offline"]
    alpha: NotNegative
    """Weight of the outcome's advantage beside the segments' credit; in `self_correction` of the
    bonus.
    """
    gain: Literal["progress", "info_gain_nats"]
    """What of a segment is credited: a column of the gains table."""
    credit: Literal["myopic", "to_go", "discounted"]
    credit_baseline: Literal["none", "group_mean"]
    normalize_credit_by_std: bool
    normalize_by_std: bool
    std_epsilon: Positive
    mask_truncated: bool
    loss: Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo"]
    clip_low: Fraction
    clip_high: Positive
    epochs: Count
    minibatches_per_epoch: Count
    micro_batch_tokens: Count
    optimizer: AdamW
    credit_discount: Fraction | None = None
    """Of the next segment, in `discounted`; of a thinking token, in the objective `regret`."""
    correction_stage: Literal[1, 2] | None = None
    """Of `self_correction`: 1 holds the first attempt near `reference`, 2 trains both attempts."""
    keep_frac: Fraction | None = None
    """Of `offline`: share of the correct rollouts that are imitated, those of highest progress."""
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

    @model_validator(mode="after")
    def _keys_have_a_use(self) -> "Update":
        discounts = self.objective == "regret" or self.credit == "discounted"
        for key, is_used in (
            ("credit_discount", discounts),
            ("correction_stage", self.objective == "self_correction"),
            ("keep_frac", self.objective == "offline"),
        ):
            if is_used != (getattr(self, key) is not None):
                state = "needs" if is_used else "has no use for"
                raise ValueError(
                    f"objective {self.objective} with credit {self.credit} {state} {key}"
                )
        if self.objective == "regret" and self.credit == "discounted":
            raise ValueError(
                "objective regret discounts tokens, so credit cannot discount segments: to_go or myopic"
            )
        if self.correction_stage == 1 and self.kl_coefficient is None:
            raise ValueError(
                "correction_stage 1 holds the first attempt near the reference: it needs kl_coefficient"
            )
        if self.objective == "offline" and self.importance_correction is not None:
            raise ValueError(
                "objective offline is a likelihood without a ratio: it has no use for importance_correction"
            )
        return self

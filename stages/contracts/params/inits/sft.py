"""What params.yaml says of supervised fine-tuning: `inits.<init>.sft`, `judges.<judge>.sft`."""

from typing import Annotated

from pydantic import Field

from stages.contracts.params.base import Count, Fraction, NotNegative, Section
from stages.contracts.params.lora import Lora
from stages.contracts.params.optimizer import AdamW


class LossWeights(Section):
    """Weight of a token's loss in SFT, by what the token is."""

    attempt: NotNegative
    verdict: NotNegative
    answer: NotNegative


class Sft(Section):
    """Supervised fine-tuning: cosine decay after a linear warm-up."""

    epochs: Annotated[int, Field(ge=0)]
    """0 only where a checkpoint itself is to be the initial policy."""
    batch_tokens: Count
    row_tokens: Count
    warmup_frac: Fraction
    final_learning_rate_frac: Fraction
    loss_weights: LossWeights
    optimizer: AdamW
    micro_batch_tokens: Count | None = None
    """Tokens that go through the model at once; absent, a whole batch does."""
    lora: Lora | None = None
    """Train an adapter of the checkpoint, or of a judge's base; absent, all of it."""

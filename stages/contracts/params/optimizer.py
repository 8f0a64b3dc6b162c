"""What params.yaml says of an optimizer."""

from pydantic import Field

from stages.contracts.params.base import Fraction, NotNegative, Positive, Section


class AdamW(Section):
    """One optimizer's settings; gradients are clipped to `max_grad_norm`."""

    learning_rate: Positive
    betas: tuple[Fraction, Fraction] = Field(strict=False)
    weight_decay: NotNegative
    max_grad_norm: Positive

"""What params.yaml says of models trained by imitation: initial policies and judges."""

from typing import Annotated

from pydantic import Field, model_validator

from stages.contracts.recipe_params import AdamW
from stages.contracts.task_params import Count, Demonstrations, Fraction, Name, NotNegative, Section, Seed

HEAD_SIZE_STEP = 32


class ModelShape(Section):
    """A Llama-architecture decoder trained from random weights."""

    hidden_size: Count
    intermediate_size: Count
    num_layers: Count
    num_heads: Count
    max_positions: Count

    @model_validator(mode="after")
    def _heads_fit(self) -> "ModelShape":
        if self.hidden_size % (self.num_heads * HEAD_SIZE_STEP):
            raise ValueError(
                f"hidden_size {self.hidden_size} over num_heads {self.num_heads} must be a multiple of "
                f"{HEAD_SIZE_STEP}, which vLLM's attention needs"
            )
        return self


class LossWeights(Section):
    """Weight of a token's loss in SFT, by what the token is."""

    attempt: NotNegative
    verdict: NotNegative
    answer: NotNegative


class Sft(Section):
    """Supervised fine-tuning: cosine decay after a linear warm-up."""

    epochs: Count
    batch_tokens: Count
    row_tokens: Count
    warmup_frac: Fraction
    final_learning_rate_frac: Fraction
    loss_weights: LossWeights
    optimizer: AdamW


class Checkpoint(Section):
    """An existing policy folder to start from; `sha256` of its weights file says which one it was."""

    checkpoint: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Init(Section):
    """An initial policy: what it is shown, what it starts from, how it is trained."""

    seed: Seed
    demonstrations: Demonstrations
    model: ModelShape | Checkpoint
    sft: Sft


class Judge(Section):
    """A generative verifier: `base` fine-tuned to say whether an answer is right, on the answers of round `round`."""

    base: Name
    round: Name
    seed: Seed
    sft: Sft

"""What params.yaml says of models trained by imitation: initial policies and judges."""

from typing import Annotated

from pydantic import Field, model_validator

from stages.contracts.recipe_params import AdamW, Lora
from stages.contracts.task_params import Count, Demonstrations, Fraction, Name, NotNegative, Section, Seed, Sha256

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


class Checkpoint(Section):
    """An existing folder of weights to start from.

    `sha256` of its weights says which ones: of the one file, or of what `sha256sum model-*.safetensors` prints.
    """

    checkpoint: str
    sha256: Sha256


class HubCheckpoint(Section):
    """A checkpoint of the Hugging Face hub, fetched by stage `sft` alone; `revision` is a commit, never a branch."""

    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    sha256: Sha256


class Init(Section):
    """An initial policy: what it is shown, what it starts from, how it is trained."""

    seed: Seed
    demonstrations: Demonstrations
    model: ModelShape | Checkpoint | HubCheckpoint
    sft: Sft

    @model_validator(mode="after")
    def _random_weights_are_trained(self) -> "Init":
        if isinstance(self.model, ModelShape) and not self.sft.epochs:
            raise ValueError("sft.epochs 0 would leave random weights as they are; give it a checkpoint, or train it")
        return self

    @model_validator(mode="after")
    def _adapter_has_a_base(self) -> "Init":
        if self.sft.lora is not None and isinstance(self.model, ModelShape):
            raise ValueError("sft.lora changes weights that are there: it needs a checkpoint, not a model's shape")
        return self


class Judge(Section):
    """A generative verifier: `base` fine-tuned to say whether an answer is right, on the answers of round `round`."""

    base: Name
    round: Name
    seed: Seed
    sft: Sft

    @model_validator(mode="after")
    def _is_trained(self) -> "Judge":
        if not self.sft.epochs:
            raise ValueError("sft.epochs 0 would leave a judge that has learnt nothing")
        return self

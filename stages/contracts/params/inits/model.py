"""What params.yaml says a policy starts from: `inits.<init>.model`."""

from typing import Annotated

from pydantic import Field, model_validator

from stages.contracts.params.base import Count, Section
from stages.contracts.params.checksum import Sha256

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
                f"hidden_size {self.hidden_size} over num_heads {self.num_heads} must be a "
                f"multiple of {HEAD_SIZE_STEP}, which vLLM's attention needs"
            )
        return self


class Checkpoint(Section):
    """An existing folder of weights to start from.

    `sha256` says which one: of what `sha256sum` prints of its weights, tokenizer, chat template and
    configurations, sorted by name; see `stages.engines.starts.files`.
    """

    checkpoint: str
    sha256: Sha256


class HubCheckpoint(Section):
    """A checkpoint of the Hugging Face hub, fetched by stage `sft` alone.

    `revision` is a commit, never a branch.
    """

    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    sha256: Sha256


Model = ModelShape | Checkpoint | HubCheckpoint

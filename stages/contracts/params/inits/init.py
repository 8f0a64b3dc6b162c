"""What params.yaml says of one initial policy: `inits.<init>`."""

from pydantic import model_validator

from stages.contracts.params.base import Section, Seed
from stages.contracts.params.inits.demonstrations import Demonstrations
from stages.contracts.params.inits.model import Model, ModelShape
from stages.contracts.params.inits.sft import Sft


class Init(Section):
    """An initial policy: what it is shown, what it starts from, how it is trained."""

    seed: Seed
    demonstrations: Demonstrations
    model: Model
    sft: Sft

    @model_validator(mode="after")
    def _random_weights_are_trained(self) -> "Init":
        if isinstance(self.model, ModelShape) and not self.sft.epochs:
            raise ValueError(
                "sft.epochs 0 would leave random weights as they are; give it a checkpoint, or "
                "train it"
            )
        return self

    @model_validator(mode="after")
    def _adapter_has_a_base(self) -> "Init":
        if self.sft.lora is not None and isinstance(self.model, ModelShape):
            raise ValueError(
                "sft.lora changes weights that are there: it needs a checkpoint, not a model's "
                "shape"
            )
        return self

"""What params.yaml says of one generative judge: `judges.<judge>`."""

from pydantic import model_validator

from stages.contracts.params.base import Name, Section, Seed
from stages.contracts.params.inits.sft import Sft


class Judge(Section):
    """A generative judge: `base` fine-tuned on the answers of `round` to say which are right."""

    base: Name
    round: Name
    seed: Seed
    sft: Sft

    @model_validator(mode="after")
    def _is_trained(self) -> "Judge":
        if not self.sft.epochs:
            raise ValueError("sft.epochs 0 would leave a judge that has learnt nothing")
        return self

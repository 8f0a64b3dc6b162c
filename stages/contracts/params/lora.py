"""What params.yaml says of an adapter."""

from typing import Annotated

from pydantic import Field

from stages.contracts.params.base import Count, Section

MAX_LORA_RANK = 512  # that vLLM serves


class Lora(Section):
    """An adapter: every module named gets a change of low rank; the weights are held still."""

    rank: Annotated[int, Field(ge=1, le=MAX_LORA_RANK)]
    alpha: Count
    """The change is scaled by alpha / rank."""
    target_modules: Annotated[list[str], Field(min_length=1)]
    """Last parts of their names, as in q_proj."""

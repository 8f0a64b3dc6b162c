"""What params.yaml says of cutting thinking: `recipes.<recipe>.segments`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from stages.contracts.params.base import Count, Section


class CutTraits(Section):
    """What comes of a cut; each says where it differs."""

    finds_attempts: ClassVar[bool] = False
    """Whether a segment may be an attempt, which the verifier can judge."""

    @property
    def max_tokens(self) -> Count | None:
        """Longest segment of thinking; None where there is no bound."""
        return None


class MarkerCut(CutTraits):
    """Behind every occurrence of the task's own markers."""

    finds_attempts: ClassVar[bool] = True
    cut: Literal["marker"]


class FixedCut(CutTraits):
    """Every `num_tokens` tokens."""

    cut: Literal["fixed"]
    num_tokens: Count

    @property
    def max_tokens(self) -> Count:
        """Longest segment of thinking."""
        return self.num_tokens


class CutpointCut(CutTraits):
    """Before tokens sampled with less than `max_prob`, `min_tokens` or more apart."""

    cut: Literal["cutpoint"]
    max_prob: Annotated[float, Field(gt=0, lt=1)]
    min_tokens: Count


Segments = Annotated[MarkerCut | FixedCut | CutpointCut, Field(discriminator="cut")]

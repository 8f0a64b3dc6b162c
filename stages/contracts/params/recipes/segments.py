"""What params.yaml says of cutting thinking: `recipes.<recipe>.segments`."""

from typing import Annotated, Literal

from pydantic import Field

from stages.contracts.params.base import Count, Section


class MarkerSegments(Section):
    """Thinking is cut behind the task's own boundary words."""

    cut: Literal["marker"]


class FixedSegments(Section):
    """Thinking is cut every `num_tokens` tokens."""

    cut: Literal["fixed"]
    num_tokens: Count


class CutpointSegments(Section):
    """Thinking is cut before tokens the sampler gave less than `max_prob`, at most once in
    `min_tokens` tokens.
    """

    cut: Literal["cutpoint"]
    max_prob: Annotated[float, Field(gt=0, lt=1)]
    min_tokens: Count


Segments = Annotated[MarkerSegments | FixedSegments | CutpointSegments, Field(discriminator="cut")]

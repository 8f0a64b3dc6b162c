"""What params.yaml says of intervals: `evaluate`."""

from typing import Annotated

from pydantic import Field

from stages.contracts.params.base import Section, Seed


class Evaluate(Section):
    """Intervals by bootstrap over problems."""

    seed: Seed
    num_resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]

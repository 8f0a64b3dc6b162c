"""What params.yaml says of one round: `rounds.<round>`."""

from typing import Annotated

from pydantic import Field

from stages.contracts.params.base import Name, Section


class Round(Section):
    """One pass of the loop: the policy it starts from, the recipe, who judges, and a seed.

    `reference` is the policy that `kl_coefficient` holds the new one near; `judge` gives the
    reward: `exact` or a judge of `judges`.
    """

    parent: Name
    reference: Name
    recipe: Name
    judge: Name
    seed: Annotated[int, Field(ge=0, lt=2**31)]

"""The task's part of params.yaml, and what all parts are made of."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


class Section(BaseModel):
    """A part of params.yaml: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, raw: Any) -> Any:
        unknown = [str(key) for key in raw if key not in cls.model_fields] if isinstance(raw, dict) else []
        if unknown:
            raise ValueError(f"no key named {', '.join(unknown)}; choose from {sorted(cls.model_fields)}")
        return raw


class CountdownTier(Section):
    """One difficulty of Countdown: how many numbers a problem gives."""

    num_numbers: Annotated[int, Field(ge=2, le=5)]
    num_train: Count
    num_heldout: Count


class CountdownTask(Section):
    """Problems of `stages.tasks.countdown`. A problem's difficulty is its `num_numbers`."""

    name: Literal["countdown"]
    seed: Seed
    max_number: Annotated[int, Field(ge=2, le=99)]
    max_result: Annotated[int, Field(ge=10, le=999)]
    tiers: Annotated[list[CountdownTier], Field(min_length=1)]

    @property
    def difficulties(self) -> list[int]:
        """What `difficulty` a problem may have."""
        return [tier.num_numbers for tier in self.tiers]


class ReasoningGymTier(Section):
    """One difficulty of a reasoning-gym family: its own configuration keys, as that family names them."""

    difficulty: Annotated[int, Field(ge=0)]
    num_train: Count
    num_heldout: Count
    config: dict[str, Any]


class ReasoningGymTask(Section):
    """Problems of any reasoning-gym family, as text."""

    name: Literal["reasoning_gym"]
    family: str
    seed: Seed
    vocabulary_size: Annotated[int, Field(ge=261)]
    tiers: Annotated[list[ReasoningGymTier], Field(min_length=1)]

    @property
    def difficulties(self) -> list[int]:
        """What `difficulty` a problem may have."""
        return [tier.difficulty for tier in self.tiers]


TaskParams = Annotated[CountdownTask | ReasoningGymTask, Field(discriminator="name")]


class CountdownDemonstrations(Section):
    """Strategy `revise`: attempts with a verdict each, then the answer. See `stages.tasks.countdown`."""

    strategy: Literal["revise"]
    num_demos: Count
    difficulty_weights: dict[int, Positive]
    immediate_answer_frac: Fraction
    planned_hit_frac: Fraction
    max_planned_attempts: Count
    max_attempts: Count
    give_up_fracs: Annotated[list[Fraction], Field(min_length=1)]
    candidates_per_attempt: Annotated[list[Count], Field(min_length=1)]


class DirectDemonstrations(Section):
    """Strategy `direct`: the reference answer at once."""

    strategy: Literal["direct"]
    num_demos: Count


Demonstrations = Annotated[CountdownDemonstrations | DirectDemonstrations, Field(discriminator="strategy")]

"""What all sections of params.yaml are made of."""

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    """A part of params.yaml: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, raw: Any) -> Any:
        unknown = (
            [str(key) for key in raw if key not in cls.model_fields]
            if isinstance(raw, dict)
            else []
        )
        if unknown:
            raise ValueError(
                f"no key named {', '.join(unknown)}; choose from {sorted(cls.model_fields)}"
            )
        return raw


def variants(union: Any) -> dict[str, Any]:
    """The classes of a union of sections, such as `Probe`, by the word that chooses each."""
    members, field = get_args(union)
    return {
        get_args(member.model_fields[field.discriminator].annotation)[0]: member
        for member in get_args(members)
    }

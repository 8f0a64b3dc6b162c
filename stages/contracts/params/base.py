"""What all sections of params.yaml are made of, and how one is read by its dotted key.

A step reads the sections that dvc.yaml names for it and no other. What holds of the whole file is
checked before any step runs: `stages.contracts.params.whole`.

YAML is read as DVC reads it, version 1.2, so that a stage uses what dvc.lock says it used. In
version 1.1, which PyYAML reads, `010` is 8, `1:30` is 90, and `no` is False.
"""

import re
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML, ScalarNode
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from stages.running import holding
from stages.running.errors import BadInput, printable

SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # of float32's normal numbers
MAX_SHOWN = 200  # characters of a value that is wrong
MAX_MESSAGE = 1000  # characters: the choices there are may be many
OTHER_VERSION = re.compile(r"^%YAML\s+(?!1\.2\s*$).*$", re.MULTILINE)


def _in_float32(value: float) -> float:
    """A number that torch and vLLM, which compute in float32, would take for 0 or infinite."""
    if value != 0 and not SMALLEST <= abs(value) <= LARGEST:
        raise ValueError(f"float32 holds 0 and {SMALLEST:.3g} to {LARGEST:.3g}")
    return value


Fraction = Annotated[float, Field(ge=0, le=1), AfterValidator(_in_float32)]
Positive = Annotated[float, Field(gt=0), AfterValidator(_in_float32)]
NotNegative = Annotated[float, Field(ge=0), AfterValidator(_in_float32)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


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


def read_file(path: Path) -> Any:
    """All of params.yaml, its values unchecked.

    Raises:
        BadInput: it is missing, or no YAML.
    """
    try:
        return parsed(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise BadInput(f"{path} is missing; run from the repository's root") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not valid YAML: {error}") from None


def parsed(text: str, path: Path) -> Any:
    """The content of params.yaml, its values unchecked.

    Raises:
        BadInput: it is no YAML of version 1.2; says on which line.
    """
    other = OTHER_VERSION.search(text)
    if other:
        line = text.count("\n", 0, other.start()) + 1
        raise BadInput(
            f"{path}, line {line}: {shortened(other[0])}: DVC reads version 1.2 whatever this "
            "says; delete the line"
        )
    try:
        return YAML(typ="safe").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        why = shortened(" ".join(str(error.problem or error.context).split()))
        raise BadInput(f"{where}: not valid YAML: {why}") from None
    except RecursionError:
        raise BadInput(f"{path} is not valid YAML: nested too deep") from None
    except YAMLError as error:
        why = shortened(" ".join(str(error).split()))
        raise BadInput(f"{path} is not valid YAML: {why}") from None
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{path}{_place_of_wrong_value(text)}: not valid YAML: {error}") from None


def shortened(text: str, limit: int = MAX_SHOWN) -> str:
    """The text fit for a message: without control characters, and cut where it is long."""
    more = f"… {len(text):,} characters in all" if len(text) > limit else ""
    return printable(text[:limit]) + more


def shown(value: Any) -> str:
    """A wrong value as a message shows it."""
    try:
        return shortened(repr(value))
    except ValueError:  # Python writes no integer of so many digits
        return f"an integer of {value.bit_length():,} bits"


def _place_of_wrong_value(text: str) -> str:
    """Where the first value stands that looks like a number or a date and is none."""
    yaml = YAML(typ="safe")
    pending, seen = [yaml.compose(text)], set()
    while pending:
        node = pending.pop()
        if isinstance(node, tuple):
            pending += reversed(node)
        elif id(node) not in seen and not isinstance(node, ScalarNode):
            seen.add(id(node))
            pending += reversed(node.value)
        elif isinstance(node, ScalarNode):
            try:
                yaml.constructor.construct_object(node)
            except (ValueError, OverflowError):
                return f", line {node.start_mark.line + 1}: {shortened(node.value)}"
    return ""


def read_section(path: Path, key: str, model: Any) -> Any:
    """The section at a dotted key, such as `recipes.information.rollout`, as its model or type.

    Raises:
        BadInput: the section is missing, or names every offending key in it, its value and the
            reason.
    """
    value = _raw_section(path, key)
    holding.note(f"{path}: {key}", value, lambda: _raw_section(path, key))
    return checked(path, value, model, key)


def _raw_section(path: Path, key: str) -> Any:
    value = read_file(path)
    for position, name in enumerate(key.split(".")):
        if not isinstance(value, dict) or name not in value:
            above = ".".join(key.split(".")[:position]) or "the file"
            names = sorted(map(str, value)) if isinstance(value, dict) else []
            raise BadInput(f"{path}: {above} has no key named {name}; choose from {names}")
        value = value[name]
    return value


def checked(path: Path, value: Any, model: Any, key: str = "") -> Any:
    """A part of params.yaml as its model.

    Raises:
        BadInput: names every offending key, its value and the reason.
    """
    try:
        return TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        raise BadInput(_explain(path, key, error)) from None
    except RecursionError:
        raise BadInput(f"{path}: {key or 'the file'} is nested too deep") from None


def _explain(path: Path, key: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        names = [*([key] if key else []), *(shortened(str(name)) for name in problem["loc"])]
        where, found = ".".join(names) or "the file", problem["input"]
        value = "" if isinstance(found, dict | list) else f" (found {shown(found)})"
        message = shortened(problem["msg"].removeprefix("Value error, "), MAX_MESSAGE)
        lines.append(f"  {where}: {message}{value}")
    return f"{path}: {len(lines)} problem(s); mend and run again:\n" + "\n".join(lines)

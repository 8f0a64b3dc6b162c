"""All of params.yaml, checked before anything runs: each section, and what holds between them.

Class defaults do not exist on purpose: what a run used is what the file says. A step reads its own
sections alone (`stages.contracts.params.base`); stage `code`, before every step, checks the
whole.

Example: python -m stages.contracts.params.whole
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from stages.contracts.params.base import Name, Section, checked, read_file
from stages.contracts.params.compute.compute import Compute
from stages.contracts.params.evaluate import Evaluate
from stages.contracts.params.exam import Exam, ExamEntry
from stages.contracts.params.inits.init import Init
from stages.contracts.params.judge import Judge
from stages.contracts.params.recipes.recipe import Recipe
from stages.contracts.params.report import Report
from stages.contracts.params.round import Round
from stages.contracts.params.rules import Sections, broken
from stages.contracts.params.task import TaskParams
from stages.running import holding
from stages.running.errors import command

ENTRIES = {
    "inits": Init,
    "recipes": Recipe,
    "judges": Judge,
    "rounds": Round,
    "exams": ExamEntry,
}
"""Sections of entries by name, and what each entry is."""


class Params(Section):
    """The whole of params.yaml."""

    task: TaskParams
    compute: Compute
    inits: Annotated[dict[Name, Init], Field(min_length=1)]
    recipes: dict[Name, Recipe]
    judges: dict[Name, Judge]
    rounds: dict[Name, Round]
    exam: Exam
    exams: Annotated[dict[Name, ExamEntry], Field(min_length=1)]
    evaluate: Evaluate
    report: Report

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, raw: Any, handler: ModelWrapValidatorHandler["Params"]) -> "Params":
        """Tell what is wrong within sections and between them in one error."""
        wrong: list[InitErrorDetails] = []
        try:
            params = handler(raw)
        except ValidationError as error:
            wrong += [_detail(each["loc"], each["msg"], each["input"]) for each in error.errors()]
        if isinstance(raw, Mapping):
            for key, why in broken(_sections(raw)):
                wrong.append(_detail(tuple(key.split(".")) if key else (), why, {}))
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return params


def _detail(way: tuple[str | int, ...], why: str, value: Any) -> InitErrorDetails:
    kind = PydanticCustomError("params", why)
    return InitErrorDetails(type=kind, loc=way, input=value)


def _sections(raw: Mapping[str, Any]) -> Sections:
    """What of the file is right in itself."""
    given = {key: raw[key] if isinstance(raw.get(key), Mapping) else {} for key in ENTRIES}
    entries = {
        section: {
            name: entry
            for name, value in given[section].items()
            if (entry := _right(model, value)) is not None
        }
        for section, model in ENTRIES.items()
    }
    return Sections(
        names={section: [*map(str, values)] for section, values in given.items()},
        task=_right(TaskParams, raw.get("task")),
        exam=_right(Exam, raw.get("exam")),
        report=_right(Report, raw.get("report")),
        **entries,
    )


def _right(model: Any, value: Any) -> Any:
    """A part as its model; None where it is wrong, which is told elsewhere."""
    try:
        return TypeAdapter(model).validate_python(value)
    except (ValidationError, RecursionError):
        return None


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        BadInput: names every offending key, its value and the reason.
    """
    value = read_file(path)
    holding.note(str(path), value, lambda: read_file(path))
    params: Params = checked(path, value, Params)
    return params


def main(params_file: Path = Path("params.yaml")) -> None:
    """Check params.yaml without running anything."""
    load(params_file)


if __name__ == "__main__":
    command(main)

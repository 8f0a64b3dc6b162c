"""Sections of params.yaml, each read by its dotted key and checked alone.

A step reads the sections that dvc.yaml names for it and no other. What holds between sections is
checked before any step runs: `stages.contracts.params.whole`.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from stages.running.errors import BadInput


class _OnceLoader(yaml.SafeLoader):
    """YAML in which a key may stand once in its mapping: of two the first would silently be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, refusing a key that comes again."""
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                problem = f"key {key.value} stands twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def read_file(path: Path) -> Any:
    """All of params.yaml, unchecked.

    Raises:
        BadInput: it is missing, or no YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.load(text, Loader=_OnceLoader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise BadInput(f"{path} is missing; run from the repository's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not valid YAML: {error}") from None


def read_section(path: Path, key: str, model: Any) -> Any:
    """The section at a dotted key, such as `recipes.information.rollout`, as its model or type.

    Raises:
        BadInput: the section is missing, or names every offending key in it, its value and the
            reason.
    """
    value = read_file(path)
    for position, name in enumerate(key.split(".")):
        if not isinstance(value, dict) or name not in value:
            above = ".".join(key.split(".")[:position]) or "the file"
            names = sorted(map(str, value)) if isinstance(value, dict) else []
            raise BadInput(f"{path}: {above} has no key named {name}; choose from {names}")
        value = value[name]
    return checked(path, value, model, key)


def checked(path: Path, value: Any, model: Any, key: str = "") -> Any:
    """A part of params.yaml as its model.

    Raises:
        BadInput: names every offending key, its value and the reason.
    """
    try:
        return TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        raise BadInput(_explain(path, key, error)) from None


def _explain(path: Path, key: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join([*([key] if key else []), *map(str, problem["loc"])]) or "the file"
        value = (
            "" if isinstance(problem["input"], dict | list) else f" (found {problem['input']!r})"
        )
        lines.append(f"  {where}: {problem['msg'].removeprefix('Value error, ')}{value}")
    return f"{path}: {len(lines)} problem(s); mend and run again:\n" + "\n".join(lines)

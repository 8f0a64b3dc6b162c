"""What the checkout calls its things, for the tab key: it asks often, and must never wait or fail.

Each completes what was typed so far; without a params.yaml that can be read there is nothing.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flows.project.paths import DATA, GRAPH, PARAMS


def rounds(incomplete: str) -> list[str]:
    """Rounds of params.yaml."""
    return _beginning(incomplete, _sections("rounds"))


def policies(incomplete: str) -> list[str]:
    """Policies: inits and rounds."""
    return _beginning(incomplete, _sections("inits", "rounds"))


def exams(incomplete: str) -> list[str]:
    """Policies that params.yaml has examined."""
    return _beginning(incomplete, _sections("exams"))


def recipes(incomplete: str) -> list[str]:
    """Recipes of params.yaml."""
    return _beginning(incomplete, _sections("recipes"))


def judges(incomplete: str) -> list[str]:
    """Judges of params.yaml, and the one that needs no line there."""
    return _beginning(incomplete, ["exact", *_sections("judges")])


def stages(incomplete: str) -> list[str]:
    """Stages as dvc.yaml names them, and groups of them."""
    found = []
    for name, stage in _mapping(GRAPH).get("stages", {}).items():
        found.append(name)
        section = str(stage.get("foreach", "")).strip("${}")
        found += [f"{name}@{key}" for key in _sections(section)] if section else []
    return _beginning(incomplete, found)


def tables(incomplete: str) -> list[str]:
    """Tables that are there, by their paths."""
    return _beginning(incomplete, map(str, sorted(DATA.glob("**/*.parquet"))))


def _sections(*sections: str) -> list[str]:
    params = _mapping(PARAMS)
    return [str(name) for section in sections for name in params.get(section) or {}]


def _mapping(path: Path) -> dict[str, Any]:
    from ruamel.yaml.error import YAMLError

    from flows.project import yaml_text

    try:
        content = yaml_text.values(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _beginning(incomplete: str, found: Iterable[str]) -> list[str]:
    return [name for name in found if name.startswith(incomplete)]

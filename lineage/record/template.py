"""What dvc.yaml and params.yaml ask for: every step as it would run today, its template filled in."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from lineage.record.errors import AuditError
from lineage.record.lock import Loader
from lineage.record.tree import Tree

GRAPH, PARAMS = "dvc.yaml", "params.yaml"
BLANK = re.compile(r"\$\{\s*([^}\s]+)\s*\}")
OUTPUTS = ("outs", "metrics", "plots")


@dataclass(frozen=True)
class Asked:
    """A step as it should run."""

    command: str
    deps: frozenset[str]
    outs: frozenset[str]
    params: frozenset[str]
    """Dotted keys of params.yaml."""


def asked_steps(tree: Tree) -> dict[str, Asked]:
    """The steps by name.

    Raises:
        AuditError: a file is missing or malformed, or names a value that is not there.
    """
    params = read_yaml(tree, PARAMS)
    stages = read_yaml(tree, GRAPH).get("stages")
    if not isinstance(stages, Mapping):
        raise AuditError(f"{GRAPH} has no stages")
    return {name: _asked(body, values) for name, body, values in _each(stages, params)}


def read_yaml(tree: Tree, path: str) -> dict[str, Any]:
    """A YAML file that holds a mapping.

    Raises:
        AuditError: there is none, or it holds something else.
    """
    try:
        content = yaml.load(tree.read(path), Loader=Loader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise AuditError(f"{path} is missing at {tree.commit[:12]}") from None
    except yaml.YAMLError as error:
        raise AuditError(f"{path} at {tree.commit[:12]} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise AuditError(f"{path} at {tree.commit[:12]} holds no mapping")
    return content


def value_at(values: Mapping[str, Any], key: str) -> Any:
    """A value by its dotted key.

    Raises:
        KeyError: there is none.
    """
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise KeyError(key)
        found = found[part]
    return found


def _each(stages: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Each step's name, its template, and what fills it in."""
    for name, body in stages.items():
        if "foreach" not in body:
            yield name, body, params
            continue
        over = BLANK.fullmatch(str(body["foreach"]))
        items = _value(params, over[1], name) if over else body["foreach"]
        if not isinstance(items, Mapping):
            raise AuditError(f"{GRAPH}: {name}: `foreach` must go over a mapping, not {body['foreach']}")
        for key, item in items.items():
            yield f"{name}@{key}", body["do"], {**params, "key": key, "item": item}


def _asked(body: Mapping[str, Any], values: Mapping[str, Any]) -> Asked:
    def filled(entries: Any) -> frozenset[str]:
        names = [next(iter(entry)) if isinstance(entry, Mapping) else entry for entry in entries or ()]
        return frozenset(_fill(str(name), values) for name in names)

    outs = frozenset().union(*(filled(body.get(kind)) for kind in OUTPUTS))
    command = " ".join(_fill(body["cmd"], values).split())
    return Asked(command, filled(body.get("deps")), outs, filled(body.get("params")))


def _fill(text: str, values: Mapping[str, Any]) -> str:
    def of(blank: re.Match[str]) -> str:
        value = _value(values, blank[1], text)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return BLANK.sub(of, text)


def _value(values: Mapping[str, Any], key: str, where: str) -> Any:
    try:
        return value_at(values, key)
    except KeyError:
        raise AuditError(f"{GRAPH}: {where}: {PARAMS} has no {key}") from None

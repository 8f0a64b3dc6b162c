"""The steps that dvc.yaml and params.yaml ask for: templates filled in, as they would run today."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NotRequired, TypedDict, cast

from lineage.record.errors import AuditError
from lineage.record.tree import Tree
from lineage.record.values import Value, Values, value_at
from lineage.record.yaml_text import parsed, place

GRAPH, PARAMS = "dvc.yaml", "params.yaml"
BLANK = re.compile(r"\$\{\s*([^}\s]+)\s*\}")


@dataclass(frozen=True)
class PlannedStep:
    """A step as it should run."""

    command: str
    deps: frozenset[str]
    outs: frozenset[str]
    params: frozenset[str]
    """Dotted keys of params.yaml."""


_Entry = str | Mapping[str, Value]
"""A path or key; as a mapping with options behind it."""


class _Body(TypedDict):
    cmd: str
    deps: NotRequired[list[_Entry]]
    params: NotRequired[list[_Entry]]
    outs: NotRequired[list[_Entry]]
    metrics: NotRequired[list[_Entry]]
    plots: NotRequired[list[_Entry]]


class _Stage(_Body):
    foreach: NotRequired[str | Values]
    do: _Body


def planned_steps(tree: Tree) -> dict[str, PlannedStep]:
    """The steps by name.

    Raises:
        AuditError: a file is missing or malformed, or names a value that is not there.
    """
    params = read_yaml(tree, PARAMS)
    stages = read_yaml(tree, GRAPH).get("stages")
    if not isinstance(stages, Mapping):
        raise AuditError(f"{GRAPH} has no stages")
    each = _each(cast(Mapping[str, _Stage], stages), params)
    return {name: _planned(body, values) for name, body, values in each}


def read_yaml(tree: Tree, path: str) -> Values:
    """A YAML file that holds a mapping.

    Raises:
        AuditError: there is none, or it holds something else.
    """
    try:
        content = parsed(tree.read(path), place(tree, path))
    except FileNotFoundError:
        raise AuditError(f"{path} is missing at {tree.commit[:12]}") from None
    if not isinstance(content, dict):
        raise AuditError(f"{place(tree, path)} holds no mapping")
    return content


def _each(stages: Mapping[str, _Stage], params: Values) -> Iterator[tuple[str, _Body, Values]]:
    """Each step's name, its template, and what fills it in."""
    for name, stage in stages.items():
        if "foreach" not in stage:
            yield name, stage, params
            continue
        over = BLANK.fullmatch(str(stage["foreach"]))
        items = _value(params, over[1], name) if over else stage["foreach"]
        if not isinstance(items, Mapping):
            raise AuditError(
                f"{GRAPH}: {name}: `foreach` must go over a mapping, not {stage['foreach']}"
            )
        for key, item in items.items():
            yield f"{name}@{key}", stage["do"], {**params, "key": key, "item": item}


def _planned(body: _Body, values: Values) -> PlannedStep:
    outs: list[_Entry] = []
    for group in (body.get("outs"), body.get("metrics"), body.get("plots")):
        outs += group or ()
    return PlannedStep(
        command=" ".join(_fill(body["cmd"], values).split()),
        deps=_filled(body.get("deps") or (), values),
        outs=_filled(outs, values),
        params=_filled(body.get("params") or (), values),
    )


def _filled(entries: Iterable[_Entry], values: Values) -> frozenset[str]:
    names = (next(iter(entry)) if isinstance(entry, Mapping) else entry for entry in entries)
    return frozenset(_fill(str(name), values) for name in names)


def _fill(text: str, values: Values) -> str:
    def of(blank: re.Match[str]) -> str:
        value = _value(values, blank[1], text)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return BLANK.sub(of, text)


def _value(values: Values, key: str, where: str) -> Value:
    try:
        return value_at(values, key)
    except KeyError:
        raise AuditError(f"{GRAPH}: {where}: {PARAMS} has no {key}") from None

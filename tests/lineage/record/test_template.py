"""What dvc.yaml and params.yaml ask for, as DVC would fill it in."""

from pathlib import Path

import pytest

from lineage.record.errors import AuditError
from lineage.record.lock import read_lock
from lineage.record.template import PlannedStep, planned_steps
from lineage.record.tree import open_tree
from tests.lineage import chain


def test_templates_are_filled_in_as_dvc_does(audited: Path) -> None:
    planned, ran = planned_steps(open_tree(audited)), read_lock(open_tree(audited))
    assert planned.keys() == ran.keys()
    for name, step in ran.items():
        assert step.command.split() == planned[name].command.split()
        assert {dep.path for dep in step.deps} == planned[name].deps
        assert {*step.params} == planned[name].params


GRAPH = """\
stages:
  one:
    cmd: run ${ size }
    deps: [a, "${names.first}"]
    metrics: [{m.json: {cache: false}}]
  each:
    foreach: ${rounds}
    do:
      cmd: >-
        go
        ${key} ${item.parent} ${flag}
      params: ["rounds.${key}"]
      outs: ["out/${key}"]
"""
PARAMS = "{size: 3, names: {first: b}, flag: true, rounds: {i1: {parent: r0}}}"


def test_a_template_by_hand(tmp_path: Path) -> None:
    chain.write(tmp_path, {}, files={"dvc.yaml": GRAPH, "params.yaml": PARAMS})
    none = frozenset[str]()
    assert planned_steps(open_tree(tmp_path)) == {
        "one": PlannedStep("run 3", frozenset("ab"), frozenset({"m.json"}), none),
        "each@i1": PlannedStep(
            "go i1 r0 true", none, frozenset({"out/i1"}), frozenset({"rounds.i1"})
        ),
    }


@pytest.mark.parametrize(
    ("graph", "params", "message"),
    [
        (GRAPH, "{size: 3}", "params.yaml has no names.first"),
        (GRAPH, PARAMS.replace("{i1: {parent: r0}}", "3"), "`foreach` must go over a mapping"),
        ("stages: 3", PARAMS, "dvc.yaml has no stages"),
        ("]", PARAMS, r"dvc.yaml, line 1, is not YAML"),
        (GRAPH, "[1]", "params.yaml holds no mapping"),
    ],
)
def test_what_cannot_be_filled_in_is_named(
    tmp_path: Path, graph: str, params: str, message: str
) -> None:
    chain.write(tmp_path, {}, files={"dvc.yaml": graph, "params.yaml": params})
    with pytest.raises(AuditError, match=message):
        planned_steps(open_tree(tmp_path))

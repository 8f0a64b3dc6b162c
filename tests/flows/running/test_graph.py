"""The plan of a toy project: a tree of rounds, each a shell command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.running.graph import GraphError, PlannedStage, Step, leaves, plan, steps

pytestmark = pytest.mark.filterwarnings(
    "ignore:_NoneStep:DeprecationWarning"
)  # DVC's, of its own trie

PARAMS = """
rounds:
  i1: {parent: r0, recipe: {words: 3, mood: {tone: calm, pitch: 1.0}}}
  i2: {parent: i1, recipe: {words: 4, mood: {tone: calm, pitch: 1.0}}}
  o1: {parent: r0, recipe: {words: 2, mood: {tone: calm, pitch: 1.0}}}
"""
GRAPH = """
stages:
  update:
    foreach: ${rounds}
    do:
      cmd: cat data/${item.parent}.txt > data/${key}.txt; echo ${key} >> data/${key}.txt
      params: ["rounds.${key}.recipe"]
      deps: ["data/${item.parent}.txt"]
      outs: ["data/${key}.txt"]
  prepare:
    cmd: mkdir -p data; cp seed.txt data/r0.txt
    deps: [seed.txt]
    outs: [data/r0.txt]
  report:
    cmd: cat data/i2.txt data/o1.txt > data/report.txt
    deps: [data/i2.txt, data/o1.txt]
    outs: [data/report.txt]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose stages have all run."""
    project = tmp_path_factory.mktemp("finished")
    project.joinpath("params.yaml").write_text(PARAMS)
    project.joinpath("dvc.yaml").write_text(GRAPH)
    project.joinpath("seed.txt").write_text("seed\n")
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    dvc(project, "init", "--quiet")
    dvc(project, "repro", "--quiet")
    return project


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of the finished project, free to be edited."""
    copy = tmp_path / "project"
    shutil.copytree(finished, copy)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    return copy


def dvc(project: Path, *arguments: str) -> None:
    environment = {
        **os.environ,
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(project.parent / "site"),
    }
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=project, env=environment, check=True
    )


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def reasons() -> dict[str, tuple[str, ...]]:
    return {stage.name: stage.reasons for stage in plan() if stage.is_stale}


def test_order_is_topological_and_nothing_is_stale_after_a_run(project: Path) -> None:
    planned = plan()
    names = [stage.name for stage in planned]
    assert sorted(names) == ["prepare", "report", "update@i1", "update@i2", "update@o1"]
    for stage in planned:
        assert all(names.index(parent) < names.index(stage.name) for parent in stage.parents)
    assert {stage.name: stage.parents for stage in planned} == {
        "prepare": (),
        "update@i1": ("prepare",),
        "update@i2": ("update@i1",),
        "update@o1": ("prepare",),
        "report": ("update@i2", "update@o1"),
    }
    assert not any(stage.is_stale for stage in planned)


def test_an_edited_parameter_is_named_with_both_values(project: Path) -> None:
    edit(
        project / "params.yaml",
        "i2: {parent: i1, recipe: {words: 4, mood: {tone: calm",
        "i2: {parent: i1, recipe: {words: 4, mood: {tone: bold",
    )
    assert reasons() == {
        "update@i2": ("rounds.i2.recipe.mood.tone: calm -> bold",),
        "report": ("after update@i2",),
    }


def test_a_new_parameter_is_absent_before(project: Path) -> None:
    edit(
        project / "params.yaml", "o1: {parent: r0, recipe: {", "o1: {parent: r0, recipe: {pace: 9, "
    )
    assert reasons()["update@o1"] == ("rounds.o1.recipe.pace: absent -> 9",)


def test_an_edited_dependency_makes_all_descendants_stale(project: Path) -> None:
    project.joinpath("seed.txt").write_text("other\n")
    assert reasons() == {
        "prepare": ("seed.txt modified",),
        "update@i1": ("after prepare",),
        "update@o1": ("after prepare",),
        "update@i2": ("after update@i1",),
        "report": ("after update@i2", "after update@o1"),
    }


def test_a_lost_output_and_a_changed_command_are_named(project: Path) -> None:
    project.joinpath("data/report.txt").unlink()
    edit(
        project / "dvc.yaml", "cmd: cat data/i2.txt data/o1.txt", "cmd: cat data/o1.txt data/i2.txt"
    )
    assert reasons() == {"report": ("command changed", "data/report.txt deleted")}


def test_a_new_round_never_ran_and_leaves_the_others_alone(project: Path) -> None:
    with project.joinpath("params.yaml").open("a") as stream:
        stream.write("  i3: {parent: i2, recipe: {words: 1}}\n")
    assert reasons() == {"update@i3": ("never ran",)}


def test_a_target_brings_its_ancestors_only(project: Path) -> None:
    assert [stage.name for stage in plan(["update@o1"])] == ["prepare", "update@o1"]
    assert {stage.name for stage in plan(["update"])} == {
        "prepare",
        "update@i1",
        "update@i2",
        "update@o1",
    }


def test_planning_changes_nothing(project: Path) -> None:
    before = project.joinpath("dvc.lock").read_bytes()
    project.joinpath("seed.txt").write_text("other\n")
    plan()
    assert project.joinpath("dvc.lock").read_bytes() == before
    assert project.joinpath("data/r0.txt").read_text() == "seed\n"


def test_planning_works_while_a_stage_writes(project: Path) -> None:
    holder = {"pid": os.getpid(), "cmd": "dvc repro"}
    lock = json.dumps({"write": {str(project / "data/report.txt"): holder}, "read": {}})
    project.joinpath(".dvc/tmp/rwlock").write_text(lock)
    assert not reasons()


def test_what_is_wrong_with_the_project_is_said(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GraphError, match="update@i9"):
        plan(["update@i9"])
    edit(project / "dvc.yaml", "    cmd: mkdir -p data;", "    cmd: {mkdir -p data;")
    with pytest.raises(GraphError, match=r"dvc\.yaml.*line 11"):
        plan()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraphError, match="DVC repository"):
        plan()


def test_a_node_is_stale_when_it_has_a_reason() -> None:
    assert not PlannedStage("a", (), ()).is_stale
    assert PlannedStage("a", (), ("never ran",)).is_stale


def test_leaves() -> None:
    assert leaves({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {
        "a.b": 1,
        "a.c.d": [2],
        "e": None,
    }


def test_steps_are_stages_with_their_commands(project: Path) -> None:
    listed = steps(["update@i2"])
    assert [step.name for step in listed] == ["prepare", "update@i1", "update@i2"]
    assert listed[-1] == Step(
        "update@i2",
        ("update@i1",),
        "cat data/i1.txt > data/i2.txt; echo i2 >> data/i2.txt",
        {"rounds.i2.recipe": {"words": 4, "mood": {"tone": "calm", "pitch": 1.0}}},
        ("data/i2.txt",),
    )
    with pytest.raises(GraphError, match="no_such"):
        steps(["no_such"])

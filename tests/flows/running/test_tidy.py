"""Another params.yaml in a finished checkout: what is left of the old one is found, and swept."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.commands import tidy as swept
from flows.project import mending
from flows.running import graph, tidy
from flows.running.stage import Busy
from flows.running.tidy import Left

pytestmark = pytest.mark.filterwarnings(
    "ignore:_NoneStep:DeprecationWarning"
)  # DVC's, of its own trie

PARAMS = """
rounds:
  i1: {parent: r0, seed: 1}
  i2: {parent: i1, seed: 2}
"""
GRAPH = """
stages:
  prepare:
    cmd: mkdir -p data/policies; echo r0 > data/policies/r0
    outs: [data/policies/r0]
  update:
    foreach: ${rounds}
    do:
      cmd: >-
        mkdir -p data/rounds/${key} data/docs/${key} data/metrics

        echo page > data/docs/${key}/index.html

        cp data/policies/${item.parent} data/policies/${key}

        echo 12345 > data/policies/${key}.run.json

        echo ${key} > data/rounds/${key}/gains

        echo 1 > data/metrics/${key}.json
      params: ["rounds.${key}"]
      deps: ["data/policies/${item.parent}"]
      outs: ["data/policies/${key}", "data/rounds/${key}/gains"]
      metrics: ["data/metrics/${key}.json": {cache: false}]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("finished")
    project.joinpath("params.yaml").write_text(PARAMS)
    project.joinpath("dvc.yaml").write_text(GRAPH)
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": f"{project}-site"}
    for command in (["init"], ["repro"]):
        dvc = [sys.executable, "-m", "dvc", *command, "--quiet"]
        subprocess.run(dvc, cwd=project, env=environment, check=True)
    return project


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: the finished project, with unfinished work of two rounds."""
    copy = tmp_path / "project"
    shutil.copytree(finished, copy, symlinks=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    for stage in ("update-i1", "update-i2"):
        folder = copy / "data/.scratch" / f"{stage}-{'0' * 20}"
        folder.mkdir(parents=True)
        folder.joinpath("part").write_text("12")
    return copy


def without_i2(project: Path) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("  i2: {parent: i1, seed: 2}\n", ""))


def test_a_checkout_that_is_asked_for_all_it_has_keeps_it(project: Path) -> None:
    assert tidy.find() == tidy.Leftovers((), ())


def test_what_a_removed_round_left_is_found_with_its_bytes(project: Path) -> None:
    without_i2(project)
    left = tidy.find()
    assert left.entries == ("update@i2",)
    assert set(left.paths) == {
        Left(Path("data/.scratch") / f"update-i2-{'0' * 20}", 2),
        Left(Path("data/docs/i2"), 5),
        Left(Path("data/metrics/i2.json"), 2),
        Left(Path("data/policies/i2"), 3),
        Left(Path("data/policies/i2.run.json"), 6),
        Left(Path("data/rounds/i2"), len("i2\n" + "/gains\n")),  # with DVC's .gitignore
    }
    assert left.num_bytes == 2 + 5 + 2 + 3 + 6 + 10


def test_only_that_is_swept_and_dvc_finds_nothing_to_do(project: Path) -> None:
    without_i2(project)
    (project / "data/mine").write_text("of the user's")
    tidy.sweep(tidy.find())
    assert tidy.find() == tidy.Leftovers((), ())
    assert "update@i2" not in (project / "dvc.lock").read_text()
    assert not list(project.glob("data/**/*i2*"))  # the folder of the round is gone too
    assert (project / "data/policies/.gitignore").exists()
    assert (project / "data/mine").exists()
    assert not [stage.name for stage in graph.plan() if stage.is_stale]


def test_the_command_lists_then_sweeps(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    without_i2(project)
    swept.tidy(dry_run=True)
    assert "would sweep 1 entries of dvc.lock and 6 paths, 28 bytes" in capsys.readouterr().out
    swept.tidy(as_json=True)
    assert json.loads(capsys.readouterr().out)["entries"] == ["update@i2"]
    swept.tidy()
    assert "nothing to sweep" in capsys.readouterr().out


def test_a_run_at_work_keeps_it_out(project: Path) -> None:
    lock = project / "data/.scratch/run.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="another run"), tidy.nothing_running():
            pass


def test_a_dvc_at_work_keeps_it_out(project: Path) -> None:
    mending.RECORD.parent.mkdir(parents=True, exist_ok=True)
    use = {"pid": os.getpid(), "cmd": "dvc repro"}
    mending.RECORD.write_text(json.dumps({"data/policies/i1": {"write": use, "read": []}}))
    with pytest.raises(Busy, match=f"process {os.getpid()}"), tidy.nothing_running():
        pass
    mending.RECORD.write_text(json.dumps({"data/policies/i1": {"read": []}}))
    with tidy.nothing_running():
        pass

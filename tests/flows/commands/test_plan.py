"""`knowhow plan`: the table, JSON, and what is refused before anything is planned."""

import json
import shutil
from pathlib import Path

import pytest

from fixtures.checkouts import PROFILES, succeed
from tests.flows.command import imported_by, knowhow

GRAPH = """
stages:
  prepare:
    cmd: cp seed.txt prepared.txt
    deps: [seed.txt]
    outs: [prepared.txt]
  update:
    cmd: cp prepared.txt updated.txt
    deps: [prepared.txt]
    outs: [updated.txt]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two stages that have run, with params.yaml of the tiny profile."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copy(PROFILES / "tiny.yaml", folder / "params.yaml")
    (folder / "dvc.yaml").write_text(GRAPH)
    (folder / "seed.txt").write_text("seed\n")
    succeed(["git", "init", "--quiet"], folder)
    succeed(["dvc", "init", "--quiet"], folder)
    succeed(["dvc", "repro", "--quiet"], folder)
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, free to be edited."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    return shutil.copytree(finished, tmp_path / "project")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def test_a_table_without_colours(project: Path) -> None:
    (project / "seed.txt").write_text("other\n")
    done = knowhow(project, "plan", "update")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "STAGE    STATE     WHY",
        "prepare  will run  seed.txt modified",
        "update   will run  after prepare",
        "",
        "2 of 2 stages will run.",
    ]


def test_json(project: Path) -> None:
    (project / "updated.txt").unlink()
    assert json.loads(knowhow(project, "plan", "--json").stdout) == [
        {"name": "prepare", "parents": [], "reasons": []},
        {"name": "update", "parents": ["prepare"], "reasons": ["updated.txt deleted"]},
    ]


def test_prefect_is_never_waited_for_and_dvc_only_by_a_plan(project: Path) -> None:
    assert "dvc" in imported_by(project, "plan")
    for arguments in (["plan"], ["plan", "--help"], ["train", "--help"]):
        imported = imported_by(project, *arguments)
        assert "prefect" not in imported
        assert ("dvc" in imported) == (arguments == ["plan"])


def test_a_wrong_name_ends_the_command_with_2(project: Path) -> None:
    done = knowhow(project, "plan", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: Stage 'nonsense' not found" in done.stderr


@pytest.mark.parametrize("command", ["plan", "train"])
def test_bad_params_are_named_and_nothing_is_planned(command: str, project: Path) -> None:
    """Of a section that no stage here reads: the whole file is checked."""
    edit(project / "params.yaml", "max_number: 9", "max_number: nine")
    before = (project / "dvc.lock").read_bytes()
    done = knowhow(project, command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: params.yaml: 1 problem(s); mend and run again:\n")
    assert "max_number" in done.stderr
    assert "Traceback" not in done.stderr
    assert (project / "dvc.lock").read_bytes() == before
    assert not (project / "data").exists()

    (project / "params.yaml").unlink()
    done = knowhow(project, command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "params.yaml is missing; run from the repository's root" in done.stderr

"""DVC's record of who holds which file, as a kill may leave it."""

import fcntl
import json
from pathlib import Path

import pytest

from flows import run, rwlock
from flows.rwlock import GUARD, RECORD
from tests.conftest import run as run_command
from tests.conftest import succeed

PIPELINE = "stages: {one: {cmd: 'true'}}"
WHOLE = json.dumps({"write": {}, "read": {}})


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a record that holds nothing."""
    monkeypatch.chdir(tmp_path)
    RECORD.parent.mkdir(parents=True)
    RECORD.write_text(WHOLE)
    return tmp_path


@pytest.mark.parametrize("left", ["", WHOLE[:-3], "\0\0"])
def test_a_record_cut_short_is_removed(left: str) -> None:
    RECORD.write_text(left)
    for _ in range(2):
        rwlock.mend()
        assert not RECORD.exists()


def test_a_whole_record_stays() -> None:
    rwlock.mend()
    assert RECORD.read_text() == WHOLE


def test_what_dvc_is_about_to_write_stays() -> None:
    RECORD.write_text("")
    with GUARD.open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        rwlock.mend()
    assert RECORD.exists()


def test_dvc_goes_on_where_it_refused(project: Path) -> None:
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet", "--force"]):
        succeed(command, project)
    (project / "dvc.yaml").write_text(PIPELINE)
    succeed(["dvc", "repro", "--quiet"], project)
    assert RECORD.exists()
    RECORD.write_text("")
    assert "corrupted" in run_command(["dvc", "repro"], project).stderr
    succeed(["python", "-m", "flows.warm", "dvc", "repro"], project)
    RECORD.write_text("")
    with run.Children() as children:
        run.run_stage("one", children)

"""What DVC writes in place, as a kill may leave it."""

import fcntl
import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from fixtures.checkouts import run as run_command
from fixtures.checkouts import succeed
from flows.project import mending
from flows.project.mending import GUARDS, LOCK, RECORD
from flows.running import stage
from flows.running.children import Children

NAME = ("-c", "user.name=a", "-c", "user.email=a@b")
LOCKED = """\
schema: '2.0'
stages:
  one:
    cmd: env A=0 python -m
      stages.one
    deps:
    - path: data/in
      hash: md5
      md5: 3ad6aff6308ce3ab3cfc0d02a952d0b0
      size: 1
  two:
    cmd: 'true'
    deps:
    - path: params.yaml
      size: 1
    params:
      params.yaml:
        task.seed: 20
  six@r0:
    cmd: 'true'
    deps:
    - path: data/in
      size: 1
    outs:
    - path: data/out
      size: 22
"""
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
        mending.mend()
        assert not RECORD.exists()


def test_a_whole_record_stays() -> None:
    mending.mend()
    assert RECORD.read_text() == WHOLE


def test_what_dvc_is_about_to_write_stays() -> None:
    RECORD.write_text("")
    with GUARDS[RECORD].open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        mending.mend()
    assert RECORD.exists()


@pytest.fixture
def committed(project: Path) -> str:
    """A dvc.lock of three stages, in git; what it says."""
    LOCK.write_text(LOCKED)
    for arguments in (
        ["init", "--quiet"],
        ["add", "dvc.lock"],
        [*NAME, "commit", "--quiet", "--message", "lock"],
    ):
        succeed(["git", *arguments], project)
    return LOCKED


def cuts(text: str) -> list[int]:
    """Where a write may have ended, and no whole file does: all but most ends of lines."""
    return [
        end
        for end in range(len(text))
        if not text[:end].endswith("\n") or text[:end].endswith(":\n")
    ]


def test_a_lock_cut_anywhere_is_as_git_has_it(committed: str) -> None:
    assert len(cuts(committed)) > 0.9 * len(committed)
    for end in cuts(committed)[::5]:
        LOCK.write_text(committed[:end])
        mending.mend()
        assert LOCK.read_text() == committed


def test_whole_stages_of_a_cut_lock_stay(committed: str) -> None:
    newer = committed.replace("size: 1", "size: 2")
    LOCK.write_text(newer[: newer.index("size: 2", newer.index("  six@r0:"))])
    mending.mend()
    stages = yaml.safe_load(LOCK.read_text())["stages"]
    assert {name: stage["deps"][0]["size"] for name, stage in stages.items()} == {
        "one": 2,
        "two": 2,
        "six@r0": 1,
    }


def test_a_cut_lock_that_git_never_had(committed: str) -> None:
    shutil.rmtree(".git")
    LOCK.write_text(committed[:-2])
    mending.mend()
    assert [*yaml.safe_load(LOCK.read_text())["stages"]] == ["one", "two"]
    LOCK.write_text("")
    mending.mend()
    assert not LOCK.exists()


def test_a_whole_lock_stays_and_so_does_one_that_dvc_is_writing(committed: str) -> None:
    newer = committed.replace("size: 1", "size: 2")
    LOCK.write_text(newer)
    mending.mend()
    assert LOCK.read_text() == newer
    LOCK.write_text(newer[:-2])
    with GUARDS[LOCK].open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        mending.mend()
    assert LOCK.read_text() == newer[:-2]


def test_dvc_goes_on_where_it_refused(project: Path) -> None:
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet", "--force"]):
        succeed(command, project)
    (project / "dvc.yaml").write_text(
        "stages: {one: {cmd: 'true', deps: [in]}, two: {cmd: 'true', deps: [in]}}"
    )
    (project / "in").touch()
    succeed(["dvc", "repro", "--quiet"], project)
    locked = LOCK.read_text()
    assert RECORD.exists()
    for file, complaint in ((RECORD, "corrupted"), (LOCK, "validation failed")):
        file.write_text("")
        assert complaint in run_command(["dvc", "repro"], project).stderr
        succeed(["python", "-m", "flows.warm", "dvc", "repro"], project)
        file.write_text("")
        with Children() as children:
            stage.run_stage("two", children)
    assert LOCK.read_text() == locked[: locked.index("  one")] + locked[locked.index("  two") :]
    with GUARDS[LOCK].open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        assert "lock" in run_command(["dvc", "repro"], project).stderr


def test_what_a_killed_stage_was_about_to_publish_is_removed() -> None:
    """Of a process that is gone: what lives still writes. Unfinished work has its own names."""
    gone = 2**22 + 1  # more than Linux counts to
    for name in (
        f"data/rounds/.scores.parquet.{gone}.tmp/0",
        f"data/.format.json.{gone}.tmp",
        f"data/.problems.parquet.{os.getpid()}.tmp",
        f"data/.scratch/.update-i1.{gone}.tmp",
        "data/rounds/scores.parquet/0",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    mending.mend()
    assert sorted(str(path) for path in Path("data").rglob("*") if path.is_file()) == [
        f"data/.problems.parquet.{os.getpid()}.tmp",
        f"data/.scratch/.update-i1.{gone}.tmp",
        "data/rounds/scores.parquet/0",
    ]

"""What DVC's cache holds under a wrong name is told and dropped, and `dvc repro` makes it anew."""

import json
import os
import shutil
from pathlib import Path

import pytest

from fixtures.checkouts import succeed
from flows.running import cache, graph

GRAPH = """
stages:
  prepare:
    cmd: mkdir table && cp seed.txt table/part && cp seed.txt table/more && echo more >> table/more
    deps: [seed.txt]
    outs: [table]
  update:
    cmd: tr a-z A-Z < table/part > policy
    deps: [table]
    outs: [policy]
"""
PART, POLICY = Path("table/part"), Path("policy")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stages that have run; their outputs are hard links into the cache, read-only."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "dvc.yaml").write_text(GRAPH)
    (folder / "seed.txt").write_text("some seed\n")
    succeed(["git", "init", "--quiet"], folder)
    succeed(["dvc", "init", "--quiet"], folder)
    succeed(["dvc", "config", "cache.type", "hardlink"], folder)
    succeed(["dvc", "repro", "--quiet"], folder)
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    folder = shutil.copytree(finished, tmp_path / "project")
    succeed(["dvc", "checkout", "--relink", "--force", "--quiet"], folder)
    monkeypatch.chdir(folder)
    return folder


def spoil(path: Path) -> bytes:
    """Cut a file in half in place, as a disk may: whatever shares its bytes is cut too."""
    whole, mode = path.read_bytes(), path.stat().st_mode
    assert path.stat().st_nlink > 1
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.truncate(len(whole) // 2)
    path.chmod(mode)
    return whole


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@pytest.mark.parametrize("is_quick", [True, False], ids=["quick", "all"])
def test_sound_objects_stay(is_quick: bool, project: Path) -> None:
    before = sorted(Path(".dvc/cache").rglob("*"))
    assert cache.verify(is_quick=is_quick) == []
    assert cache.verify(is_quick=is_quick) == []
    assert sorted(Path(".dvc/cache").rglob("*")) == before


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted first", "left there"])
@pytest.mark.parametrize("is_quick", [True, False], ids=["quick", "all"])
@pytest.mark.parametrize("path", [PART, POLICY], ids=str)
def test_what_is_spoilt_is_made_anew(
    path: Path, is_quick: bool, deleted: bool, project: Path
) -> None:
    assert cache.verify(is_quick=True) == []
    lock = Path("dvc.lock").read_bytes()
    whole = spoil(path)
    if deleted:
        remove(path.parent if path == PART else path)
    [found] = cache.verify(is_quick=is_quick)
    assert path in found.outputs
    assert not found.path.exists()
    assert not path.exists()
    succeed(["dvc", "repro"], project)
    assert path.read_bytes() == whole
    assert Path("dvc.lock").read_bytes() == lock
    assert cache.verify() == []


def test_a_bit_that_rots_unseen_is_found_by_the_full_look_alone(project: Path) -> None:
    assert cache.verify() == []
    stat = POLICY.stat()
    POLICY.chmod(0o644)
    with POLICY.open("r+b") as stream:
        stream.write(b"s")
    POLICY.chmod(0o444)
    os.utime(POLICY, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    assert cache.verify(is_quick=True) == []
    [found] = cache.verify()
    assert POLICY in found.outputs
    succeed(["dvc", "repro"], project)
    assert POLICY.read_text() == "SOME SEED\n"


def test_a_spoilt_list_of_a_folder_is_dropped(project: Path) -> None:
    [listed] = Path(".dvc/cache/files/md5").glob("*/*.dir")
    listed.chmod(0o644)
    listed.write_text(json.dumps([])[:1])
    listed.chmod(0o444)
    [found] = cache.verify()
    assert found.outputs == (Path("table"),)
    succeed(["dvc", "repro"], project)
    assert listed.is_file()
    assert cache.verify() == []


def test_what_is_only_asked_for_stays(project: Path) -> None:
    spoil(POLICY)
    [found] = cache.verify(is_dropped=False)
    assert found.path.exists()
    assert "policy" in str(found)


def test_an_object_of_no_output_is_told(project: Path) -> None:
    stray = Path(".dvc/cache/files/md5/00") / ("0" * 30)
    stray.parent.mkdir()
    stray.write_text("what is this")
    [found] = cache.verify()
    assert str(found) == f"{stray.absolute()}, of no output of today"
    assert not stray.exists()


def test_a_plan_counts_on_nothing_spoilt(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(POLICY)
    planned = {stage.name: stage.is_stale for stage in graph.plan()}
    assert planned == {"prepare": False, "update": True}
    assert "policy" in capsys.readouterr().err


def test_outside_a_project_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cache.NoCache):
        cache.verify()

"""Unfinished work is kept under exactly its inputs' name."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stages.running import scratch as module
from stages.running.errors import BadInput
from stages.running.scratch import scratch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    """A table and a policy folder."""
    table, policy = tmp_path / "in" / "table", tmp_path / "in" / "policy"
    table.parent.mkdir()
    table.write_text("rows")
    policy.mkdir()
    (policy / "weights").write_text("weights")
    return [table, policy]


def folder_of(
    root: Path, inputs: list[Path], stage: str = "update-i1", settings: object = None
) -> Path:
    with scratch(root, stage, settings or {"a": 1, "b": [2]}, inputs) as folder:
        return folder


def test_the_same_inputs_find_the_same_folder(tmp_path: Path, inputs: list[Path]) -> None:
    root = tmp_path / "scratch"
    first = folder_of(root, inputs)
    assert first.parent == root
    assert first.name.startswith("update-i1-")
    assert folder_of(root, inputs, settings={"b": [2], "a": 1}) == first


@pytest.mark.parametrize("what", ["setting", "table", "weights", "new_file", "stage", "package"])
def test_another_input_finds_another_folder(
    what: str, tmp_path: Path, inputs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "scratch"
    first = folder_of(root, inputs)
    settings, stage = {"a": 1, "b": [2]}, "update-i1"
    match what:
        case "setting":
            settings = {"a": 1, "b": [3]}
        case "table":
            inputs[0].write_text("Rows")
        case "weights":
            (inputs[1] / "weights").write_text("Weights")
        case "new_file":
            (inputs[1] / "more").write_text("")
        case "stage":
            stage = "update-i2"
        case "package":
            monkeypatch.setattr(module, "version", lambda name: f"{name}-other")
    assert folder_of(root, inputs, stage, settings) != first


def test_it_is_kept_on_failure_found_again_and_dropped_on_success(
    tmp_path: Path, inputs: list[Path]
) -> None:
    root = tmp_path / "scratch"

    def work() -> None:
        with scratch(root, "update", [], inputs) as folder:
            (folder / "shard").write_text("done")
            raise KeyError

    with pytest.raises(KeyError):
        work()
    [kept] = root.iterdir()
    with scratch(root, "update", [], inputs) as again:
        assert again == kept
        assert (again / "shard").read_text() == "done"
    assert list(root.iterdir()) == []


KILLED_AS_IT_DROPS = """
import os, shutil, sys
from pathlib import Path
from stages.running.scratch import scratch

def die_half_way(folder):
    next(folder.rglob("weights")).unlink()
    os.kill(os.getpid(), 9)

with scratch(Path(sys.argv[1]), "update", [], []) as folder:
    (folder / "shard").mkdir()
    (folder / "shard" / "weights").write_text("done")
    shutil.rmtree = die_half_way
"""


def test_work_half_dropped_by_a_kill_is_never_found_again(tmp_path: Path) -> None:
    root = tmp_path / "scratch"
    assert (
        subprocess.run([sys.executable, "-c", KILLED_AS_IT_DROPS, str(root)], cwd=ROOT).returncode
        == -signal.SIGKILL
    )
    [half_dropped] = root.iterdir()
    assert [path.name for path in half_dropped.rglob("*")] == ["shard"]
    with scratch(root, "update", [], []) as again:
        assert list(root.iterdir()) == [again]
        assert list(again.iterdir()) == []


def test_scratch_of_a_missing_input_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(BadInput, match="absent is missing"),
        scratch(tmp_path / "scratch", "update", [], [tmp_path / "absent"]),
    ):
        pass
    assert not (tmp_path / "scratch").exists()

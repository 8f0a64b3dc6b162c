"""Whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.running.errors import BadInput
from stages.running.publish import atomic, read_json, write_json

ROOT = Path(__file__).parents[2]
DISK_FULL = Path("/dev/full")


def python(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def write_folder(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "weights").write_text(text)


def test_what_an_earlier_process_left_is_no_part_of_it(tmp_path: Path) -> None:
    """Of any process: one with this number too, for numbers come again."""
    for pid in (os.getpid(), 1):
        (tmp_path / f".table.{pid}.tmp").mkdir()
        (tmp_path / f".table.{pid}.tmp" / "foreign").touch()
    with atomic(tmp_path / "table") as beside:
        write_folder(beside, "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["table", "weights"]


def test_a_file_appears_whole_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "table"
    with atomic(path) as beside:
        beside.write_text("new")
        assert beside.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    write_folder(path, "old")
    (path / "left over").write_text("")
    with atomic(path) as beside:
        write_folder(beside, "new")
    assert [(p.name, p.read_text()) for p in path.iterdir()] == [("weights", "new")]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [Path.write_text, write_folder], ids=["file", "folder"])
def test_a_failure_leaves_the_old_and_nothing_else(
    write: Callable[[Path, str], object], tmp_path: Path
) -> None:
    path = tmp_path / "out"
    write(path, "old")

    def work() -> None:
        with atomic(path) as beside:
            write(beside, "half")
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert list(tmp_path.iterdir()) == [path]
    assert (path / "weights" if path.is_dir() else path).read_text() == "old"


def test_a_kill_leaves_the_old(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    script = """
import os, signal, sys
from pathlib import Path
from stages.running.publish import atomic
with atomic(Path(sys.argv[1])) as beside:
    beside.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert python(script, path).returncode == -signal.SIGKILL
    assert path.read_text() == "old"


@pytest.mark.parametrize("write", [Path.write_text, write_folder], ids=["file", "folder"])
def test_all_is_on_the_disk_before_and_after_it_gets_its_name(
    write: Callable[[Path, str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "out", []
    sync, replace = os.fsync, Path.replace

    def seen(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        synced.append("renamed")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", seen)
    monkeypatch.setattr(Path, "replace", renamed)
    with atomic(path) as beside:
        write(beside, "new")
    inside = [str(beside / "weights")] if path.is_dir() else []
    assert synced == [*inside, str(beside), "renamed", str(tmp_path)]


def test_json_is_sorted_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"b": 1, "a": {"d": 0.5, "c": None}})
    assert path.read_text() == '{\n  "a": {\n    "c": null,\n    "d": 0.5\n  },\n  "b": 1\n}\n'
    assert read_json(path) == {"a": {"c": None, "d": 0.5}, "b": 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_json_that_others_cannot_read_is_not_written(value: object, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"a": 1})
    with pytest.raises((ValueError, TypeError)):
        write_json(path, {"a": value})
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "missing"),
        (b"", "corrupt"),
        (b'{"a": ', "corrupt"),
        (b"\xff", "corrupt"),
        (b"[1]", "no JSON object"),
    ],
)
def test_json_that_cannot_be_read_is_refused(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "validation.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=f"{path.name}.*{message}.*dvc repro"):
        read_json(path)


# Disk exhaustion, for real: the file beside the output is a link to a device that is always full.

FILL = f"""
import os, sys
from pathlib import Path
from tokenizers import Tokenizer, models
from stages.running.errors import command
from stages.running.publish import write_json
from stages.contracts.render import Renderer
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.scores import SCORES

kind, out = sys.argv.pop(1), Path(sys.argv.pop(1))

def main() -> None:
    beside = out.with_name(f".{{out.name}}.{{os.getpid()}}.tmp")
    if kind == "table":
        beside.mkdir()
    (beside / "0" if kind == "table" else beside).symlink_to("{DISK_FULL}")
    Path.glob = lambda *_: []  # else the link is taken for what an earlier run left
    if kind == "table":
        row = dict(rollout_id="a", verdict="correct", reward=1.0, judge_score=None, answer="")
        write_table(out, SCORES, [row])
    elif kind == "json":
        write_json(out, dict(a=1))
    else:
        words = ["<pad>", "<bos>", "<eos>"]
        model = models.WordLevel(dict(zip(words, range(3))), unk_token="<pad>")
        Renderer(Tokenizer(model)).save(out.parent)

command(main)
"""


@pytest.mark.skipif(not DISK_FULL.is_char_device(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize(
    ("kind", "name"),
    [("table", "scores.parquet"), ("json", "metrics.json"), ("tokenizer", "tokenizer.json")],
)
def test_a_full_disk_is_told_and_leaves_the_old(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("old")
    done = python(FILL, kind, path)
    assert done.returncode == 75, done.stderr
    assert done.stderr.startswith("error: no space left on the disk")
    assert "Traceback" not in done.stderr
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


SMALL_DISK = """
import sys
from pathlib import Path
import numpy as np
from safetensors.numpy import save_file
from stages.running.errors import command
from stages.running.publish import atomic

out = Path(sys.argv.pop(1)) / "checkpoint.safetensors"

def main() -> None:
    with atomic(out) as beside:
        save_file({"weight": np.zeros(100_000)}, beside)

command(main)
"""


def test_a_full_disk_under_a_checkpoint_is_told_too(tmp_path: Path) -> None:
    """On a file system of 8 KiB: safetensors renames its file, so a link would not do."""
    own_mounts = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs -o size=8k none "$1"'
    try:
        allowed = subprocess.run(
            [*own_mounts, mount, "sh", tmp_path], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("needs util-linux's unshare")
    if allowed.returncode:
        pytest.skip("this machine lets nobody mount a file system of their own")
    command = [
        *own_mounts,
        f'{mount} && exec "$2" -c "$3" "$1"',
        "sh",
        tmp_path,
        sys.executable,
        SMALL_DISK,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 75, done.stderr
    assert done.stderr.startswith(
        f"error: no space left on the disk while writing {tmp_path}/checkpoint.safetensors"
    )


def test_an_error_that_hides_a_full_disk_is_told_from_others(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as full, atomic(tmp_path / "out"):
        raise Exception("Error while serializing: I/O error: No space left on device (os error 28)")
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(tmp_path / "out"))
    with pytest.raises(RuntimeError, match="another"), atomic(tmp_path / "out"):
        raise RuntimeError("another")


# Unfinished work.

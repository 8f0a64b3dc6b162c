"""A policy made anew in a clean clone, for real once, and when it is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fixtures.checkouts import ROOT, succeed
from lineage.answers.rebuild import rebuild, run
from lineage.record.audit import open_audit
from lineage.record.errors import AuditError
from tests.lineage.forging import commit, drop_step

EXAM_STEPS = ("examine@r0", "grade@r0", "evaluate@r0")
WEIGHTS = "data/policies/r0/model.safetensors"
NUM_PROCESSES = 4
"""Guard, warm start and its server, DVC."""
POLL_SECONDS, PATIENCE_SECONDS = 0.05, 120


@pytest.fixture
def without_exam(copy: Path) -> Path:
    """A project whose r0 sat no exam: three steps, the cheapest policy there is."""
    for step in EXAM_STEPS:
        if f"\n  {step}:\n" in (copy / "dvc.lock").read_text():
            drop_step(copy, step)
    commit(copy)
    return copy


def test_made_anew_it_is_the_same_to_the_bit(without_exam: Path, tmp_path: Path) -> None:
    """The whole command, from a bare clone: nothing that the first build left is there."""
    succeed(["git", "clone", "--quiet", "--bare", str(without_exam), "bare"], tmp_path)
    folder = tmp_path / "rebuilt"
    command = [sys.executable, "-m", "lineage", "rebuild", "r0", "--json"]
    command += ["--repo", str(tmp_path / "bare"), "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout)
    assert (answer["verdict"], answer["num_steps"]) == ("bit-equal", 3)
    assert answer["steps"] == answer["findings"] == []
    assert "Running stage 'sft@r0'" in done.stderr
    assert (folder / WEIGHTS).read_bytes() == (without_exam / WEIGHTS).read_bytes()
    assert not (folder / "data/policies/i1").exists()
    assert not (folder / "data/metrics/exams/s1.json").exists()


@pytest.mark.parametrize("path", ["params.yaml", "stages/sft.py"])
def test_params_or_code_that_are_not_the_commits_are_refused(copy: Path, path: str) -> None:
    with (copy / path).open("a") as file:
        file.write("# edited\n")
    with pytest.raises(
        AuditError, match=rf"1 files of code or params differ from commit \w+, first {path}; commit"
    ):
        rebuild(open_audit(copy, None), "s1", None)


def test_a_folder_in_use_is_refused(audited: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(AuditError, match="is in use"):
        rebuild(open_audit(audited, None), "s1", tmp_path)


def test_steps_that_fail_say_so(copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AuditError, match=r"rebuilding update@none ended with \d+: .*'update@none'"):
        run(["update@none"], copy)
    assert "'update@none'" in capfd.readouterr().err


def test_an_interrupt_leaves_nothing_behind(audited: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lineage", "rebuild", "r0", "--repo", str(audited)]
    running = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)})
    children: list[psutil.Process] = []
    while len(children) < NUM_PROCESSES and running.poll() is None:
        time.sleep(POLL_SECONDS)
        children = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE_SECONDS) != 0
    assert len(children) >= NUM_PROCESSES
    psutil.wait_procs(children, PATIENCE_SECONDS)
    assert not [child for child in children if child.is_running()]
    assert not list(tmp_path.glob("knowhow-rebuild-*"))

"""One stage at a time, of shell commands: how it ends, what is handed on, what survives it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows.project import exit_codes
from flows.running import guard, stage
from flows.running.children import Cancelled, Children
from flows.running.stage import Busy, StageFailed, StageProgress, exclusive, log_path, run_stage
from stages.running import errors
from stages.running import progress as stage_progress

ROOT = Path(__file__).parents[3]
SLEEP_SECONDS = f"86399.{time.time_ns()}"  # which no process of another run has
GRAPH = f"""
stages:
  good:
    cmd: |
      printf 'bar 10%%\\rbar 100%%\\n'
      printf '{{"stage": "good", "done": 3, "total": 12, "rate": 5.5}}' > $KNOWHOW_PROGRESS_FILE
      sleep 0.5
      echo made > good.txt
    outs: [good.txt]
  background:
    cmd: setsid sleep {SLEEP_SECONDS} > /dev/null & echo made > background.txt
    outs: [background.txt]
  silent:
    cmd: exit 3
    outs: [silent.txt]
  bad_input:
    cmd: "echo working; echo 'error: no such problem' >&2; exit 2"
    outs: [bad_input.txt]
  machine:
    cmd: "echo 'error: accelerator busy' >&2; exit 75"
    outs: [machine.txt]
  out_of_memory:
    cmd: "kill -9 $$"
    outs: [out_of_memory.txt]
  out_of_memory_below:
    cmd: "sh -c 'kill -9 $$'; exit $?"
    outs: [out_of_memory_below.txt]
  ended:
    cmd: "kill -TERM $$"
    outs: [ended.txt]
  orphan:
    cmd: cat missing.txt > orphan.txt
    deps: [missing.txt]
    outs: [orphan.txt]
  stubborn:
    cmd: >-
      trap '' TERM; setsid sleep {SLEEP_SECONDS} & (setsid sh -c 'sleep {SLEEP_SECONDS} & exit' &);
      touch started; test -e over || sleep {SLEEP_SECONDS}; echo made > stubborn.txt
    outs: [stubborn.txt]
  obedient:
    cmd: touch started; test -e over || sleep {SLEEP_SECONDS}; echo made > obedient.txt
    outs: [obedient.txt]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project")
    project.joinpath("dvc.yaml").write_text(GRAPH)
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=project, check=True)
    return project


@pytest.fixture(autouse=True)
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test stands in the project, and has to leave no process behind."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(project.parent / "site"))
    monkeypatch.setenv("SHELL", "/bin/sh")
    for name in ("started", "over"):
        Path(name).unlink(missing_ok=True)
    yield
    left = sleepers()
    for process in left:
        process.kill()
    assert not left


@pytest.fixture
def children() -> Iterator[Children]:
    with Children(grace_seconds=1) as children:
        yield children


def sleepers() -> list[psutil.Process]:
    return [
        p
        for p in psutil.process_iter(["cmdline"])
        if SLEEP_SECONDS in " ".join(p.info["cmdline"] or [])
    ]


def wait_for(what: Path) -> None:
    end = time.monotonic() + 60
    while not what.exists():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.05)


def failure(name: str, children: Children) -> StageFailed:
    with pytest.raises(StageFailed) as caught:
        run_stage(name, children)
    return caught.value


def test_a_stage_runs_and_hands_on_lines_and_progress(children: Children) -> None:
    lines: list[str] = []
    progress: list[StageProgress] = []
    run_stage("good", children, on_line=lines.append, on_progress=progress.append)
    assert Path("good.txt").read_text() == "made\n"
    assert "good" in Path("dvc.lock").read_text()
    assert "bar 100%" in lines  # of a bar that redraws itself, the end
    assert not any("git add" in line for line in lines)
    assert progress == [StageProgress("good", 3, 12, 5.5)]
    assert "bar 10%" in log_path("good").read_text()

    lines.clear()
    run_stage("good", children, on_line=lines.append, on_progress=progress.append)
    assert "Stage 'good' didn't change, skipping" in lines
    assert len(progress) == 1


def test_stages_and_flows_agree_on_what_passes_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stage.PROGRESS_FILE == stage_progress.PROGRESS_FILE
    assert (exit_codes.BAD_INPUT, exit_codes.MACHINE) == (
        errors.EXIT_BAD_INPUT,
        errors.EXIT_MACHINE,
    )
    monkeypatch.setenv(stage.PROGRESS_FILE, str(tmp_path / "progress.json"))
    with stage_progress.ProgressBar("sft", total=10, unit="tok") as bar:
        bar.add(4)
    written = StageProgress(**json.loads(tmp_path.joinpath("progress.json").read_text()))
    assert (written.stage, written.done, written.total) == ("sft", 4, 10)


def test_what_a_finished_stage_left_running_is_ended(children: Children) -> None:
    run_stage("background", children)
    assert not sleepers()


def test_an_error_of_the_input_is_final(children: Children) -> None:
    error = failure("bad_input", children)
    assert (error.name, error.exit_code, error.is_machine_failure) == ("bad_input", 2, False)
    assert error.last_error == "error: no such problem"
    assert str(error).splitlines() == [
        "stage bad_input failed with exit code 2: error: no such problem",
        "  log:  data/.scratch/logs/bad_input.log",
        "  next: mend what the log names, then run the same command: finished stages are kept",
    ]
    assert "working" in error.last_lines
    assert failure("silent", children).exit_code == 3


def test_a_failure_of_the_machine_may_be_tried_again(children: Children) -> None:
    error = failure("machine", children)
    assert (error.exit_code, error.is_machine_failure) == (75, True)
    assert "error: accelerator busy" in str(error)
    for name, exit_code in (("out_of_memory", -9), ("out_of_memory_below", 137)):
        error = failure(name, children)
        assert (error.exit_code, error.is_machine_failure) == (exit_code, True)
        assert "memory" in error.last_error


def test_a_stage_that_was_ended_may_be_tried_again(children: Children) -> None:
    error = failure("ended", children)
    assert (error.exit_code, error.is_machine_failure) == (-15, True)


def test_a_file_held_by_another_dvc_may_be_tried_again(children: Children) -> None:
    holder = {"pid": os.getpid(), "cmd": "dvc repro"}
    rwlock = Path(".dvc/tmp/rwlock")
    rwlock.write_text(
        json.dumps({"write": {str(Path("obedient.txt").absolute()): holder}, "read": {}})
    )
    assert failure("obedient", children).is_machine_failure
    rwlock.unlink()


def test_an_error_of_dvc_itself_is_final(children: Children) -> None:
    error = failure("orphan", children)
    assert not error.is_machine_failure
    assert "missing.txt" in error.last_error


def test_a_deadline_ends_the_whole_tree(children: Children) -> None:
    begin = time.monotonic()
    with pytest.raises(StageFailed, match="not done within its deadline of 5 s") as caught:
        run_stage("stubborn", children, deadline_seconds=5)
    assert (caught.value.exit_code, caught.value.is_machine_failure) == (124, False)
    assert time.monotonic() - begin < 30
    assert Path("started").exists()
    assert not sleepers()


@pytest.mark.parametrize("name", ["obedient", "stubborn"])
def test_closing_ends_the_stage_frees_its_locks_and_lets_no_other_start(name: str) -> None:
    children = Children(grace_seconds=1)
    closer = threading.Thread(target=lambda: (wait_for(Path("started")), children.close()))
    closer.start()
    with pytest.raises(Cancelled):
        run_stage(name, children)
    closer.join()
    assert not sleepers()
    assert json.loads(Path(".dvc/tmp/rwlock").read_text() or "{}").get("write", {}) == {}
    with pytest.raises(Cancelled):
        run_stage("good", children)

    Path("over").touch()
    with Children(grace_seconds=1) as others:
        run_stage(name, others)
    assert Path(f"{name}.txt").read_text() == "made\n"
    Path(f"{name}.txt").unlink()


def test_nothing_survives_a_program_that_is_killed() -> None:
    program = (
        "from flows.running.children import Children\n"
        "from flows.running.stage import run_stage\n"
        "with Children(1) as children: run_stage('stubborn', children)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    wait_for(Path("started"))
    tree = psutil.Process(parent.pid).children(recursive=True)
    assert len(tree) >= 4  # guard, dvc, shell, sleep
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    psutil.wait_procs([*tree, *sleepers()], timeout=15)
    assert not [process for process in tree if process.is_running()]
    assert not sleepers()


def test_a_killed_guard_takes_its_group_along(children: Children) -> None:
    def kill_guard() -> None:
        wait_for(Path("started"))
        (guarding,) = [p for p in psutil.Process().children() if guard.__file__ in p.cmdline()]
        guarding.kill()

    killer = threading.Thread(target=kill_guard)
    killer.start()
    error = failure("obedient", children)
    killer.join()
    assert error.is_machine_failure
    assert not sleepers()


def test_one_run_at_a_time() -> None:
    with exclusive(), pytest.raises(Busy, match="another run is at work"), exclusive():
        pass
    with exclusive():
        pass


@pytest.mark.parametrize(
    ("lines", "is_machines"),
    [
        (["ERROR: unexpected error - disk I/O error"], True),
        (["ERROR: unexpected error - unable to open database file"], True),
        (["ERROR: unexpected error - [Errno 28] No space left on device: 'x'"], True),
        (["ERROR: 'x' does not exist"], False),
        (["No space left on device", "ERROR: failed to run: python x, exited with 1"], False),
    ],
)
def test_a_disk_that_dvc_finds_full_is_the_machines(lines: list[str], is_machines: bool) -> None:
    error = stage._failure("update@i1", 255, Path("log"), lines)
    assert error.is_machine_failure == is_machines

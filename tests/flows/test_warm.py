"""Stages run by forks of a warm server: same results and errors, and none outlives its caller."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fixtures.checkouts import ROOT, run, succeed

# The command begins while the server still imports; only once the socket is there it forks.
WAIT = 'while [ ! -e "$KNOWHOW_WARM" ]; do sleep 0.2; done; '


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("warm") / "clone"
    ignored = shutil.ignore_patterns(".venv", ".git", ".dvc", "data", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=ignored)
    shutil.copy(ROOT / "tests/profiles/tiny.yaml", folder / "params.yaml")
    return folder


def beside_a_server(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script beside a warm server of its own, from the moment it is warm."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "flows.warm", "sh", "-c", WAIT + script]
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def prepare(folder: str) -> str:
    tables = f"--problems {folder}/problems.parquet --solutions {folder}/solutions.parquet"
    others = f"--text-format {folder}/text_format.json --exact-judge {folder}/exact"
    return f"python -m stages.prepare {tables} {others}"


def contents(table: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(table.iterdir())]


def test_a_fork_computes_what_a_process_does(clone: Path, warm: dict[str, str]) -> None:
    succeed(prepare("cold").split(), clone)
    done = run(prepare("warm").split(), clone, **warm)
    assert done.returncode == 0, done.stderr
    tables = [clone / of / "problems.parquet" for of in ("warm", "cold")]
    forked, fresh = map(contents, tables)
    assert forked == fresh
    assert "prepare: " in done.stderr  # the stage writes to the caller's own streams


def test_errors_and_exit_codes_come_through(clone: Path, warm: dict[str, str]) -> None:
    arguments = "--init r0 --problems none.parquet --demos d --policy p --metrics m.json --code c"
    script = f"python -m stages.sft {arguments}; echo $?; "
    done = run(
        ["sh", "-c", f"{script} python -m stages.sft --nonsense 2>/dev/null; echo $?"],
        clone,
        **warm,
    )
    assert done.stdout.split() == ["2", "2"]
    assert "error: table demos: d is missing" in done.stderr


def test_a_fork_dies_with_its_caller_and_the_server_with_its_command(clone: Path) -> None:
    pipe = clone / "never.yaml"
    os.mkfifo(pipe)  # a stage that reads it waits for ever
    script = f"""
    children() {{ ps -o pid= --ppid $(pgrep -f -- "--serve $KNOWHOW_WARM") | wc -l; }}
    until_there_are() {{
        for _ in $(seq 300); do [ $(children) = $1 ] && break; sleep 0.1; done
        echo children $(children)
    }}
    {prepare("late")} --params-file {pipe} & stage=$!
    until_there_are 1
    kill -9 $stage
    until_there_are 0
    echo "$KNOWHOW_WARM"
    exit 7
    """
    done = beside_a_server(script, clone)
    assert done.returncode == 7
    *counts, socket = done.stdout.splitlines()
    assert counts == ["children 1", "children 0"], done
    assert not Path(socket).exists()
    assert not subprocess.run(
        ["pgrep", "-f", "--", f"--serve {socket}"], capture_output=True, check=False
    ).stdout


def test_without_a_server_a_stage_runs_by_itself(clone: Path) -> None:
    succeed(prepare("alone").split(), clone, KNOWHOW_WARM=str(clone / "nobody"))
    assert (clone / "alone/problems.parquet").is_dir()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_it_ends_the_command_and_all_below(number: int, tmp_path: Path) -> None:
    """The signal goes to it alone; what its command started has sessions of its own."""
    script = """
import os, subprocess, sys, time
from pathlib import Path
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "below"], start_new_session=True)
Path(f"pid-{len(sys.argv)}").write_text(f"{os.getpid()} {os.environ['KNOWHOW_WARM']}")
time.sleep(600)
"""
    (tmp_path / "work.py").write_text(script)
    command = [sys.executable, "-m", "flows.warm", sys.executable, str(tmp_path / "work.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True)
    files = [tmp_path / "pid-1", tmp_path / "pid-2"]
    assert wait_until(lambda: all(file.exists() and file.read_text() for file in files))
    numbers = [int(file.read_text().split()[0]) for file in files]
    socket = files[0].read_text().split()[1]
    server = [
        other.pid
        for other in psutil.Process(process.pid).children()
        if "--serve" in other.cmdline()
    ]
    process.send_signal(number)
    process.wait(60)
    assert wait_until(lambda: not any(map(psutil.pid_exists, [*numbers, *server])))
    if number != signal.SIGKILL:
        assert not Path(socket).parent.exists()


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.05)
    return is_so()


def test_a_stage_whose_code_was_edited_since_runs_by_itself(clone: Path) -> None:
    """The server has the code of before in memory; what runs is what stands there."""
    script = f"""
    printf '\\nprint("edited since")\\n' >> stages/contracts/format.py
    {prepare("edited")}
    """
    before = (clone / "stages/contracts/format.py").read_text()
    done = beside_a_server(script, clone)
    (clone / "stages/contracts/format.py").write_text(before)
    assert done.returncode == 0, done.stderr
    assert "edited since" in done.stdout

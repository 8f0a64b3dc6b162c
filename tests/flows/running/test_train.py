"""`knowhow train` on toy projects of shell commands, with real Prefect servers.

The first test's server stays up for the others; only what is about starting one starts another.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
import yaml

from tests.flows.toy_params import write_checker

ROOT = Path(__file__).parents[3]
START_SECONDS = 120.0
SLEEP_SECONDS = f"86398.{time.time_ns()}"  # which no process of another run has
PARAMS = """
rounds:
  i1: {parent: r0, words: 3}
  i2: {parent: i1, words: 4}
  o1: {parent: r0, words: 2}
exams:
  r0: {}
"""
RUN_FACTS = '{"stage": "prepare", "started_at": 5.0, "seconds": {"total": 2.5, "startup": 0.5}}'
METRICS = json.dumps(
    {
        "all": {
            "success": {"budget_9": {"high": 0.75, "low": 0.25, "mean": 0.5}},
            "used_tokens": {"budget_9": 4.5},
            "num_problems": 8,
        },
        "difficulty_3": {"normalized_regret": {"high": 0.5, "low": 0.0, "mean": 0.25}},
    }
)
CHAIN = f"""
stages:
  prepare:
    cmd: |
      mkdir -p data/metrics/exams data/report data/docs/i1
      echo '{RUN_FACTS}' > data/r0.run.json
      echo '{METRICS}' > data/metrics/exams/r0.json
      touch data/report/report.html data/docs/i1/index.html
      echo start > data/r0.txt
    outs: [data/r0.txt]
  update:
    foreach: ${{rounds}}
    do:
      cmd: >-
        cat data/${{item.parent}}.txt > data/${{key}}.txt;
        echo ${{item.words}} >> data/${{key}}.txt; sleep 0.2
      params: ["rounds.${{key}}.words"]
      deps: ["data/${{item.parent}}.txt"]
      outs: ["data/${{key}}.txt"]
  flaky:
    cmd: >-
      test -e tried || {{ touch tried; echo "error: accelerator busy" >&2; exit 75; }};
      cp data/i2.txt data/flaky.txt
    deps: [data/i2.txt]
    outs: [data/flaky.txt]
  report:
    cmd: cat data/flaky.txt data/o1.txt > data/report.txt
    deps: [data/flaky.txt, data/o1.txt]
    outs: [data/report.txt]
"""
BROKEN = """
stages:
  good:
    cmd: sleep 1; echo good > good.txt
    outs: [good.txt]
  broken:
    cmd: "echo again >> tries; echo 'error: no such problem' >&2; exit 2"
    outs: [broken.txt]
  child:
    cmd: cp broken.txt child.txt
    deps: [broken.txt]
    outs: [child.txt]
  grandchild:
    cmd: cp child.txt grandchild.txt
    deps: [child.txt]
    outs: [grandchild.txt]
"""
LONG = f"""
stages:
  prepare:
    cmd: echo start > prepared.txt
    outs: [prepared.txt]
  long:
    cmd: >-
      (setsid sleep {SLEEP_SECONDS} &); touch started; test -e over || sleep {SLEEP_SECONDS};
      cp prepared.txt long.txt
    deps: [prepared.txt]
    outs: [long.txt]
"""


class Server:
    """`knowhow train --keep-server`, and the API of the server that it keeps."""

    def __init__(self, project: Path) -> None:
        self.process = knowhow(project, "train", "--keep-server", "--retry-delay-seconds", "1")
        self.output = read_until(self.process.stdout, "stays up at")
        self.page = self.output.split("stays up at ")[1].split()[0]

    def query(self, what: str, **body: Any) -> list[dict[str, Any]]:
        """All that the server knows of a kind."""
        request = urllib.request.Request(
            f"{self.page}/api/{what}/filter",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("chain"), CHAIN)


@pytest.fixture(scope="module")
def server(chain: Path) -> Iterator[Server]:
    server = Server(chain)
    yield server
    server.process.kill()
    server.process.wait()


def make_project(folder: Path, graph: str) -> Path:
    folder.joinpath("dvc.yaml").write_text(graph)
    folder.joinpath("params.yaml").write_text(PARAMS)
    write_checker(folder)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    dvc(folder, "init", "--quiet")
    return folder


def environment(project: Path) -> dict[str, str]:
    site = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(project / ".venv/var/dvc")}
    return {**os.environ, **site, "PYTHONPATH": str(ROOT), "HOME": str(project / "home")}


def dvc(project: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=project, env=environment(project), check=True
    )


def knowhow(project: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command; standard error goes to the file `stderr.txt`."""
    with project.joinpath("stderr.txt").open("w") as errors:
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "flows.cli", *arguments],
            cwd=project,
            env=environment(project),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def read_until(stream: IO[str] | None, text: str) -> str:
    assert stream is not None
    output = ""
    while text not in output:
        line = stream.readline()
        assert line, f"ended without {text!r}: {output}"
        output += line
    return output


def wait_for(what: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not what.exists():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.1)


def stop(
    process: subprocess.Popen[str], number: signal.Signals, patience_seconds: float = 90
) -> int:
    """Send a signal; returns the exit code once no process of the tree is left."""
    while not (tree := psutil.Process(process.pid).children(recursive=True)):
        time.sleep(0.05)
    process.send_signal(number)
    code = process.wait(patience_seconds)
    psutil.wait_procs(tree, timeout=patience_seconds)
    assert not [each for each in tree if each.is_running()]
    return code


def lock(project: Path) -> Any:
    return yaml.safe_load(project.joinpath("dvc.lock").read_text())


def test_the_lock_equals_that_of_dvc_repro(chain: Path, server: Server, tmp_path: Path) -> None:
    assert "6 of 6 stages to run" in server.output
    assert chain.joinpath("data/report.txt").read_text() == "start\n3\n4\nstart\n2\n"
    reference = make_project(tmp_path, CHAIN)
    reference.joinpath("tried").touch()
    dvc(reference, "repro", "--quiet")
    assert lock(chain) == lock(reference)


def test_a_machine_failure_was_tried_again_and_nothing_else(server: Server) -> None:
    tries = {run["name"]: run["run_count"] for run in server.query("task_runs")}
    assert tries == {
        "prepare": 1,
        "update@i1": 1,
        "update@i2": 1,
        "update@o1": 1,
        "flaky": 2,
        "report": 1,
    }
    (run,) = server.query("flow_runs")
    assert run["state"]["type"] == "COMPLETED"
    assert run["state"]["message"] == "6 stage(s) brought up to date"


def test_stage_lines_are_in_the_log_of_the_run(server: Server) -> None:
    messages = [log["message"] for log in server.query("logs", limit=200)]
    assert "error: accelerator busy" in messages
    assert "Running stage 'update@i2':" in messages
    assert "update@i2: never ran; after update@i1" in messages


def test_artifacts_show_progress_seconds_metrics_and_pages(chain: Path, server: Server) -> None:
    artifacts = {artifact["key"]: artifact for artifact in server.query("artifacts")}
    assert artifacts["progress-update-i1"]["data"] == 100.0
    assert json.loads(artifacts["stage-seconds"]["data"]) == [
        {
            "stage": "prepare",
            "output": "data/r0",
            "seconds": 2.5,
            "startup_seconds": 0.5,
            "started_at": 5.0,
        }
    ]
    assert json.loads(artifacts["exam-metrics"]["data"]) == [
        {"metric": "all.success.budget_9.mean", "r0": 0.5},
        {"metric": "all.used_tokens.budget_9", "r0": 4.5},
        {"metric": "difficulty_3.normalized_regret.mean", "r0": 0.25},
    ]
    links = artifacts["pages"]["data"].splitlines()
    assert [link.split("](")[0] for link in links] == [
        "- [data/report/report.html",
        "- [data/docs/i1/index.html",
    ]


def test_a_second_run_at_the_same_time_is_refused(chain: Path, server: Server) -> None:
    chain.joinpath("data/report.txt").unlink()
    with chain.joinpath("data/.scratch/run.lock").open("w") as at_work:
        fcntl.flock(at_work, fcntl.LOCK_EX)
        assert knowhow(chain, "train").wait(60) == 2
    assert "another run is at work in this checkout" in chain.joinpath("stderr.txt").read_text()
    dvc(chain, "repro", "--quiet")


def test_a_server_that_is_kept_is_in_no_runs_way(chain: Path, server: Server) -> None:
    assert server.process.poll() is None
    assert knowhow(chain, "train").wait(START_SECONDS) == 0


def test_a_failed_stage_stops_its_descendants_only(server: Server, tmp_path: Path) -> None:
    project = make_project(tmp_path, BROKEN)
    process = knowhow(project, "train", "--server-url", server.page, "--retry-delay-seconds", "1")
    assert process.wait(START_SECONDS) == 1
    errors = project.joinpath("stderr.txt").read_text()
    assert errors.splitlines()[-4:] == [
        "error: stage broken failed with exit code 2: error: no such problem",
        "  log:  data/.scratch/logs/broken.log",
        "  next: mend what the log names, then run the same command: finished stages are kept",
        "not run: child, grandchild",
    ]
    assert "Traceback" not in errors
    assert "\x1b" not in errors
    assert project.joinpath("tries").read_text() == "again\n"
    assert project.joinpath("good.txt").exists()
    assert set(lock(project)["stages"]) == {"good"}


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    project = make_project(tmp_path, BROKEN)
    process = knowhow(project, "train", "--server-url", "http://127.0.0.1:9")
    assert process.wait(60) == 2
    assert (
        "no Prefect server answers at http://127.0.0.1:9"
        in project.joinpath("stderr.txt").read_text()
    )


def test_nothing_survives_and_the_next_run_completes(server: Server, tmp_path: Path) -> None:
    project = make_project(tmp_path, LONG)
    process = knowhow(project, "train")
    read_until(process.stdout, "starting the Prefect server")
    assert stop(process, signal.SIGTERM) == 143  # while the server starts

    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)):
        process = knowhow(
            project, "train", *([] if number == signal.SIGKILL else ["--server-url", server.page])
        )
        wait_for(project / "started")
        assert stop(process, number) == code
        project.joinpath("started").unlink()
        if number != signal.SIGKILL:
            errors = project.joinpath("stderr.txt").read_text()
            assert errors.splitlines()[-1].startswith(
                "error: stopped before the end; finished stages are kept"
            )
        # A guard that has lost its flow takes a moment to notice; a sleeper in another session is
        # not in the tree.
        gone_by = time.monotonic() + 10
        while sleepers := [
            p
            for p in psutil.process_iter(["cmdline"])
            if SLEEP_SECONDS in (p.info["cmdline"] or [])
        ]:
            assert time.monotonic() < gone_by, sleepers
            time.sleep(0.1)

    project.joinpath("over").touch()
    process = knowhow(project, "train", "--server-url", server.page)
    assert process.wait(START_SECONDS) == 0
    assert set(lock(project)["stages"]) == {"prepare", "long"}
    process = knowhow(project, "train")
    assert process.wait(60) == 0  # without a server
    assert process.stdout is not None
    assert process.stdout.read() == "all 2 stages are up to date\n"


def test_the_kept_server_ends_with_its_command_and_no_file_is_outside(
    chain: Path, server: Server
) -> None:
    assert stop(server.process, signal.SIGINT) == 0
    assert {path.name for path in chain.joinpath("data/.scratch/prefect").iterdir()} >= {
        "prefect.db",
        "server.log",
    }
    assert not chain.joinpath("home").exists()

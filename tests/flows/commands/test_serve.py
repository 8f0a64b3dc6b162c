"""Nights served on a schedule: real servers, runners and nights of a toy project."""

import http.server
import json
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from fixtures.checkouts import ROOT, succeed
from flows.nights import night, runner
from flows.nights.worktree import FOLDER
from tests.flows import toy_night

PATIENCE_SECONDS = 900.0


class Served:
    """`knowhow nightly serve`, and the API of its server."""

    def __init__(self, project: Path, port: int) -> None:
        self.process = toy_night.start(
            project, "nightly", "serve", "--port", str(port), "--pages-port", str(free())
        )
        assert self.process.stdout is not None
        line = next(line for line in self.process.stdout if line.startswith("nights at"))
        self.api = line.split("UTC: ")[1].split(";")[0] + "/api"
        self.pages = line.split("Data Docs: ")[1].strip()

    def post(self, path: str, **body: Any) -> Any:
        """Ask the server, again while its database is busy, as Prefect's client does."""
        request = urllib.request.Request(
            f"{self.api}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=300) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != http.HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > end:
                    raise
                time.sleep(1)

    def deployment(self) -> dict[str, Any]:
        (deployment,) = self.post("deployments/filter")
        return deployment

    def night(self) -> str:
        """Have a night begin now; its run."""
        return self.post(f"deployments/{self.deployment()['id']}/create_flow_run")["id"]

    def state(self, run: str) -> tuple[str, str]:
        (flow_run,) = self.post("flow_runs/filter", flow_runs={"id": {"any_": [run]}})
        state = flow_run["state"]
        return state["name"], state["message"]

    def cancel(self, run: str) -> None:
        self.post(f"flow_runs/{run}/set_state", state={"type": "CANCELLING"})

    def stop(self) -> None:
        tree = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_SECONDS) == 0
        assert not psutil.wait_procs(tree, timeout=PATIENCE_SECONDS)[1]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = toy_night.make_project(tmp_path / "project")
    succeed(["dvc", "repro", "--quiet"], folder, **toy_night.environment(folder))
    toy_night.save(folder, waits=True)
    report = folder / "data/report/report.html"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("how the policies did")
    return folder


@pytest.fixture
def calls() -> Iterator[tuple[str, list[str]]]:
    """A web hook on this machine: its URL, and the texts it was called with."""
    texts: list[str] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(204)
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}/hook", texts
        listener.shutdown()


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free_socket:
        return free_socket.getsockname()[1]


def wait_until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < end
        time.sleep(0.2)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def test_nights_are_scheduled_run_one_at_a_time_cancelled_resumed_and_reported(
    project: Path, calls: tuple[str, list[str]]
) -> None:
    port = free()
    served = Served(project, port)
    try:
        wait_until(lambda: bool(served.post("deployments/filter")))
        deployment = served.deployment()
        (schedule,) = deployment["schedules"]
        assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == (
            "0 2 * * *",
            "UTC",
        )
        assert deployment["global_concurrency_limit"]["limit"] == 1
        assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
        wait_until(
            lambda: bool(
                served.post(
                    "flow_runs/filter", flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}}
                )
            )
        )

        assert get(f"{served.pages}/report/report.html") == "how the policies did"
        assert "/report/report.html" in get(served.pages)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(f"{served.pages}/metrics/")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(f"{served.pages}/report/../../params.yaml")

        done = toy_night.knowhow(project, "nightly", "alert", calls[0], "--server-url", served.api)
        assert done.returncode == 0, done.stderr
        first = served.night()
        wait_until((project / FOLDER / "started").exists)
        second = served.night()
        wait_until(lambda: served.state(second)[0] == "Cancelled")
        assert served.state(second)[1] == "Deployment concurrency limit reached."
        at_work = [
            p for p in psutil.process_iter(["cmdline"]) if "toy.py" in (p.info["cmdline"] or [])
        ]
        served.cancel(first)
        wait_until(lambda: served.state(first)[0] == "Cancelled")
        psutil.wait_procs(at_work, timeout=PATIENCE_SECONDS)

        lost, late = leave_unfinished(served)
        served.stop()
        served = Served(project, port)  # the next day, with the same database
        wait_until(lambda: served.state(lost) == ("Crashed", runner.GONE))
        wait_until(lambda: served.state(late) == ("Cancelled", runner.MISSED))
        fail(served, "update failed")
        wait_until(lambda: bool(calls[1]))
        assert calls[1][0].startswith("Knowhow: nightly failed: update failed http://127.0.0.1")

        (project / FOLDER / "over").touch()
        third = served.night()
        wait_until(
            lambda: (
                served.state(third)[0]
                not in ("Scheduled", "Late", "Pending", "Submitting", "Running")
            )
        )
        assert served.state(third)[0] == "promoted", served.state(third)
    finally:
        served.process.kill()
        served.process.wait()


def fail(served: Served, message: str) -> None:
    """Have a night fail while it is served.

    It begins as failed. An event that follows another waits up to a quarter of an hour where a
    busy server takes it for early; this one follows none.
    """
    flow = served.deployment()["flow_id"]
    served.post(
        "flow_runs/",
        flow_id=flow,
        state={"type": "FAILED", "name": "failed", "message": message},
    )


def leave_unfinished(served: Served) -> tuple[str, str]:
    """Two nights as a power cut leaves them: one at work, one that was due."""
    flow = served.deployment()["flow_id"]
    runs = []
    for state in (
        {"type": "RUNNING"},
        {"type": "SCHEDULED", "state_details": {"scheduled_time": "2026-01-01T02:00:00Z"}},
    ):
        runs.append(served.post("flow_runs/", flow_id=flow, state=state)["id"])
    return runs[0], runs[1]


def test_an_alert_needs_an_address(tmp_path: Path) -> None:
    for wrong in ([], ["hooks.example.org"], ["https://hooks.example.org", "--remove"]):
        done = toy_night.knowhow(tmp_path, "nightly", "alert", *wrong)
        assert done.returncode == 2
        assert "Invalid value for URL" in done.stderr


def test_the_deployment_for_a_work_pool_is_as_served() -> None:
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    nightly = yaml.safe_load((ROOT / "nightly.yaml").read_text())
    (deployment,) = content["deployments"]
    assert deployment["schedules"] == [{**nightly["schedule"], "active": True}]
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    assert (ROOT / deployment["entrypoint"].split(":")[0]).is_file()
    assert deployment["name"] == night.FLOW

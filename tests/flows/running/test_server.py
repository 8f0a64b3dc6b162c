"""A Prefect server on PostgreSQL by one variable, and what is said when a server cannot be had.

The server on SQLite is in use in test_train.py.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from fixtures.checkouts import ROOT, run, succeed
from flows.running.children import Children
from flows.running.server import DATABASE, NotStarted, answers, running, settings
from tests.flows.toy_params import write_checker

GRAPH = "stages: {hello: {cmd: echo hello > hello.txt, outs: [hello.txt]}}"
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *map(str, DEBIAN)]))
    if found is None:
        pytest.skip(f"no {name}: PostgreSQL is not installed (Debian: postgresql)")
    return found


@pytest.fixture
def database() -> Iterator[tuple[str, Path]]:
    """A cluster of its own on loopback: the URL for Prefect, and the folder of its socket."""
    programs = {name: program(name) for name in ("initdb", "postgres", "pg_isready")}
    owner = (
        {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    )  # refuses root
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="knowhow-"))
    try:
        if owner:
            shutil.chown(folder, "postgres", "postgres")
        data = str(folder / "data")
        init = [
            programs["initdb"],
            "--pgdata",
            data,
            "--username",
            "knowhow",
            "--auth",
            "trust",
            "--no-sync",
        ]
        subprocess.run(init, cwd=folder, check=True, capture_output=True, **owner)  # type: ignore[call-overload]
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
        server = subprocess.Popen(
            [programs["postgres"], "-D", data, *options],
            cwd=folder,
            stderr=subprocess.DEVNULL,
            **owner,
        )
        try:
            ready = [
                programs["pg_isready"],
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--timeout",
                "1",
            ]
            while run(ready, folder).returncode:
                assert server.poll() is None
            yield f"postgresql+asyncpg://knowhow@127.0.0.1:{port}/postgres", folder
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait()
    finally:
        shutil.rmtree(folder)


def test_one_variable_puts_the_server_on_postgresql(
    database: tuple[str, Path], tmp_path: Path
) -> None:
    url, _ = database
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    (tmp_path / "params.yaml").write_text("{}")
    write_checker(tmp_path)
    succeed(["git", "init", "--quiet"], tmp_path)
    succeed(["dvc", "init", "--quiet"], tmp_path)
    train = [sys.executable, "-m", "flows.cli", "train"]
    succeed(
        train,
        tmp_path,
        PYTHONPATH=str(ROOT),
        DVC_SITE_CACHE_DIR=str(tmp_path / "site"),
        **{DATABASE: url},
    )
    assert (tmp_path / "hello.txt").read_text() == "hello\n"
    assert not list(tmp_path.glob("data/.scratch/prefect/*.db"))
    runs = ("select name, state_type from flow_run", "select name, state_type from task_run")
    query = f"{' union '.join(runs)} order by 1"
    command = [
        program("psql"),
        url.replace("+asyncpg", ""),
        "--tuples-only",
        "--no-align",
        "--command",
        query,
    ]
    rows = succeed(command, tmp_path).splitlines()
    assert [line.partition("|")[2] for line in rows] == ["COMPLETED", "COMPLETED"]
    assert "hello|COMPLETED" in rows


def test_a_port_that_is_taken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            Children() as children,
            pytest.raises(NotStarted, match=rf"port {port} of 127\.0\.0\.1 is taken"),
            running(children, port=port),
        ):
            pass


@pytest.mark.parametrize(
    ("environment", "past"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "s3.example.org"}, "s3.example.org,127.0.0.1,localhost,::1"),
        ({"no_proxy": "a.example", "NO_PROXY": "b.example"}, "a.example,b.example,127.0.0.1"),
        ({"no_proxy": "localhost,[::1]"}, "localhost,::1,127.0.0.1"),
        ({"ALL_PROXY": "socks5://127.0.0.1:9"}, "127.0.0.1,localhost,::1"),
        ({"http_proxy": "http://127.0.0.1:9"}, "127.0.0.1,localhost,::1"),
    ],
)
def test_a_server_on_this_machine_is_seen_whatever_proxies_there_are(
    environment: dict[str, str], past: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("proxy")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with HTTPServer(("127.0.0.1", 0), Healthy) as up:
        threading.Thread(target=up.serve_forever, daemon=True).start()
        page = f"http://127.0.0.1:{up.server_port}"
        for name, value in settings(tmp_path, page).items():
            monkeypatch.setenv(name, value)
        assert answers(page)
        assert httpx.get(f"{page}/api/health").is_success  # as Prefect asks
        up.shutdown()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"]
    assert os.environ["NO_PROXY"].startswith(past)


class Healthy(BaseHTTPRequestHandler):
    """Says that it is well."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

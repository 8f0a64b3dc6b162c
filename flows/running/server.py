"""A Prefect server for a command: one that is given, or one of its own on this machine only.

The database is SQLite under `data/.scratch`. PREFECT_SERVER_DATABASE_CONNECTION_URL names another,
as `postgresql+asyncpg://user:password@127.0.0.1/prefect`.
"""

import importlib.util
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.project.paths import SCRATCH
from flows.running.children import Children

DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
LEASE_STORAGE = "prefect.server.concurrency.lease_storage.filesystem"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("all_proxy", "http_proxy", "https_proxy")
START_SECONDS = 600.0
POLL_SECONDS = 0.2


class NoAnswer(Exception):
    """No Prefect server answers where one was said to be."""


class NotStarted(Exception):
    """A Prefect server could not be started."""


@contextmanager
def running(children: Children, server_url: str | None = None, port: int = 0) -> Iterator[str]:
    """Point Prefect to a server while the block runs: the one given, or one started for it.

    Yields the URL of the server's page. Prefect reads its environment when it is imported: import
    it inside the block.

    Raises:
        NoAnswer: nothing answers at `server_url`.
        NotStarted: the server ended while it started, took too long, or `port` is taken; 0 takes a
            free one.
    """
    home = (SCRATCH / "prefect").absolute()
    home.mkdir(parents=True, exist_ok=True)
    if server_url:
        page = server_url.rstrip("/").removesuffix("/api")
        os.environ.update(settings(home, page))
        if not answers(page):
            raise NoAnswer(
                f"no Prefect server answers at {page}; check --server-url, or leave it out"
            )
        yield page
        return

    port = _free_port(port)
    page = f"http://127.0.0.1:{port}"
    os.environ.update(settings(home, page))
    command = [sys.executable, "-m", "prefect", "server", "start"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    log = home / "server.log"
    print("starting the Prefect server", flush=True)
    with log.open("wb") as output, children.running(command, os.environ, output) as server:
        end = time.monotonic() + START_SECONDS
        while not answers(page):
            if server.poll() is not None:
                raise NotStarted(
                    f"the Prefect server ended while it started; see {log}, then run again"
                )
            if time.monotonic() > end:
                raise NotStarted(
                    f"no Prefect server after {START_SECONDS:g} s; see {log}, then run again"
                )
            time.sleep(POLL_SECONDS)
        yield page


def settings(home: Path, page: str) -> dict[str, str]:
    """Environment for Prefect: it stays inside `home` and calls only the server behind `page`."""
    past_proxies = ",".join(_past_proxies())
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(home / "storage"),
        "PREFECT_SERVER_MEMO_STORE_PATH": str(home / "memo_store.toml"),
        DATABASE: os.environ.get(DATABASE) or f"sqlite+aiosqlite:///{home}/prefect.db",
        "PREFECT_API_URL": f"{page}/api",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Else the database of a server kept for years only grows.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASE_STORAGE,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
        "no_proxy": past_proxies,
        "NO_PROXY": past_proxies,
        **_unusable_proxies(),
    }


def _past_proxies() -> list[str]:
    """The hosts that are asked directly: the user's, by either name, and this machine.

    httpx, by which Prefect asks, takes `[::1]` for no address, and then asks nothing at all.
    """
    named = f"{os.environ.get('no_proxy', '')},{os.environ.get('NO_PROXY', '')}".split(",")
    hosts = [host.strip().removeprefix("[").removesuffix("]") for host in named]
    return list(dict.fromkeys([*filter(None, hosts), *LOOPBACK]))


def _unusable_proxies() -> dict[str, str]:
    """Proxies that httpx cannot speak to, set to nothing: it would end for their sake."""
    if importlib.util.find_spec("socksio"):
        return {}
    return {
        name: ""
        for name, value in os.environ.items()
        if name.lower() in PROXIES and value.lower().startswith("socks")
    }


def answers(page: str) -> bool:
    """Whether a Prefect server is up there."""
    import httpx

    try:
        host = httpx.URL(page).host
        url, is_far = f"{page}/api/health", host not in LOOPBACK
        return httpx.get(url, timeout=5, trust_env=is_far).is_success
    except (httpx.TransportError, httpx.InvalidURL, ImportError):
        return False


def _free_port(wanted: int) -> int:
    try:
        with socket.create_server(("127.0.0.1", wanted)) as free:
            return int(free.getsockname()[1])
    except OSError:
        raise NotStarted(f"port {wanted} of 127.0.0.1 is taken; choose another") from None

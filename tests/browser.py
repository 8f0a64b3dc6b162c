"""A real browser, and what a page makes it do."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest


class Browser:
    """A headless Chromium that cannot reach any network, and what it logs."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder

    def open(self, page: Path, *flags: str) -> tuple[str, list[str], list[str]]:
        """The page's DOM, its console messages, and the URLs it asked the network for."""
        log = self.folder / "net.json"
        quiet = (
            "headless no-sandbox disable-gpu disable-quic no-first-run "
            "disable-background-networking"
        )
        quiet += " disable-component-update disable-sync hide-scrollbars enable-logging=stderr v=0"
        quiet += (
            f" proxy-server=127.0.0.1:9 user-data-dir={self.folder / 'profile'} log-net-log={log}"
        )
        command = [self.program, *(f"--{flag}" for flag in quiet.split()), *flags, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        console = [line for line in done.stderr.splitlines() if ":CONSOLE:" in line]
        events = json.loads(log.read_text())["events"]
        requests = [event["params"] for event in events if "url" in event.get("params", {})]
        # The browser's own requests have no origin; a page's have one, if only "null".
        by_page = [
            a["url"] for a in requests if a.get("initiator", "not an origin") != "not an origin"
        ]
        return done.stdout, console, [url for url in by_page if not url.startswith("file:")]


def open_browser(folder: Path) -> Browser:
    """Chromium, where it is installed; the test is skipped where not, and fails in CI."""
    program = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if program is None and "CI" in os.environ:
        pytest.fail("no Chromium; install the Debian package chromium")
    if program is None:
        pytest.skip("no Chromium to open the page with; install the Debian package chromium")
    return Browser(program, folder)

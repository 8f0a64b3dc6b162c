"""`knowhow report`: where the page is, opened, and served."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from fixtures.checkouts import ROOT
from tests.flows.command import knowhow


def write_report(folder: Path) -> Path:
    page = folder / "data/report/report.html"
    page.parent.mkdir(parents=True)
    page.write_text("how the policies did")
    return page


def test_the_report_is_printed_and_opened_or_missed(tmp_path: Path) -> None:
    done = knowhow(tmp_path, "report")
    assert (done.returncode, done.stdout) == (2, "")
    assert "data/report/report.html is missing; `knowhow train` makes it" in done.stderr
    page = write_report(tmp_path)
    assert knowhow(tmp_path, "report").stdout == "data/report/report.html\n"
    opened = knowhow(tmp_path, "report", "--open", BROWSER="echo %s")
    assert page.as_uri() in opened.stdout


def test_the_report_is_served_until_ctrl_c(tmp_path: Path) -> None:
    write_report(tmp_path)
    command = [sys.executable, "-u", "-m", "flows.cli", "report", "--serve"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    pipe = subprocess.PIPE
    served = subprocess.Popen([*command, "--port", port], cwd=tmp_path, env=env, stdout=pipe)
    try:
        assert served.stdout is not None
        url = f"http://127.0.0.1:{port}"
        assert served.stdout.readline().decode().endswith(f" {url} until ctrl-C\n")
        with urllib.request.urlopen(f"{url}/report/report.html", timeout=30) as answer:
            assert answer.read() == b"how the policies did"
        busy = knowhow(tmp_path, "report", "--serve", "--port", port)
        assert busy.returncode == 2
        assert "is taken; choose another" in busy.stderr
        served.send_signal(signal.SIGINT)
        assert served.wait(60) == 0
    finally:
        served.kill()

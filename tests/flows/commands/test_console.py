"""Errors, colours and columns at the terminal."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import typer

from fixtures.checkouts import ROOT
from flows.commands import console
from tests.flows.command import knowhow

ERROR = "data/report/report.html is missing"


def on_a_terminal(folder: Path, **environment: str) -> str:
    """What a command that fails writes to standard error, where that is a terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "flows.cli", "report"]
    done = subprocess.run(command, cwd=folder, env=env, stderr=theirs, check=False)
    os.close(theirs)
    assert done.returncode == 2
    return os.read(ours, 10_000).decode()


def test_an_error_is_red_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    assert on_a_terminal(tmp_path).startswith(f"\x1b[31merror:\x1b[0m {ERROR}")
    assert on_a_terminal(tmp_path, NO_COLOR="1").startswith(f"error: {ERROR}")
    assert knowhow(tmp_path, "report").stderr.startswith(f"error: {ERROR}")


def test_columns_are_aligned_whatever_their_colours() -> None:
    red = typer.style("b", fg=typer.colors.RED)
    assert console.aligned([("a", "bc", "d"), ("aaa", red, ""), ("", "", "dd")]) == [
        "a    bc  d",
        f"aaa  {red}",
        "         dd",
    ]

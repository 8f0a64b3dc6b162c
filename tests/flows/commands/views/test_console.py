"""Errors, colours and columns at the terminal."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from fixtures.checkouts import ROOT
from flows.commands.views import console
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


def test_what_files_name_is_printed_without_escapes_and_passwords(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.say("round \x1b[31mred\x07")
    console.print_error("remote ssh://me:secret@host/x: refused\x9b2J")
    printed = capsys.readouterr()
    assert printed.out == "round \\x1b[31mred\\x07\n"
    assert printed.err == "error: remote ssh://***@host/x: refused\\x9b2J\n"


@pytest.mark.parametrize("command", ["round add NAME --parent r0 --recipe sampled", "tables NAME"])
def test_a_name_reaches_the_terminal_without_its_escapes(command: str, tmp_path: Path) -> None:
    name = "\x1b]0;title\x07\x1b[31m"
    words = [name if word == "NAME" else word for word in command.split()]
    shutil.copy(ROOT / "tests/profiles/tiny.yaml", tmp_path / "params.yaml")
    done = knowhow(tmp_path, *words)
    assert done.returncode == 2
    assert "\\x1b" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout

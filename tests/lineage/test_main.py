"""The audit without the `knowhow` command."""

from pathlib import Path

import pytest

from fixtures.checkouts import ROOT, run, succeed

COMMANDS = ("show", "rows", "leaks", "diff", "verify", "key", "sign", "rebuild", "export")


def test_it_is_the_command_of_another_name() -> None:
    text = succeed(["python", "-m", "lineage", "--help"], ROOT)
    assert "Usage: knowhow audit " in text
    for command in COMMANDS:
        assert f"  {command} " in text


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("openlineage", ["export", "i3", "--folder", "exports"]),
        ("cryptography", ["key", "private", "public"]),
    ],
)
def test_without_its_extra_it_says_what_to_install(
    missing: str, command: list[str], judged: Path
) -> None:
    hidden = f"import sys; sys.modules[{missing!r}] = None; from lineage.cli import main; main()"
    done = run(["python", "-c", hidden, *command], judged, PYTHONPATH=str(ROOT))
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {missing}")
    assert "pip install '.[lineage]'" in line

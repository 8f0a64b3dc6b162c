"""The `knowhow` command: its groups, help and completion. What it runs has tests of its own."""

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.main
from typer.core import TyperGroup

from fixtures.checkouts import ROOT, succeed
from flows import cli
from tests.flows.command import imported_by, knowhow

GROUPS = ("round", "nightly", "audit")


def commands(group: TyperGroup, *path: str) -> Iterator[tuple[str, ...]]:
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, TyperGroup):
            yield from commands(command, *path, name)


def test_all_that_is_promised_is_there() -> None:
    names = set(commands(typer.main.get_group(cli.app)))
    assert names >= {(name,) for name in ("plan", "train", "read", "report", "tables", *GROUPS)}
    assert names >= {(name,) for name in ("init", "ask", "look", "tidy")}
    assert names >= {("round", "add"), ("round", "remove")}
    assert names >= {("nightly", name) for name in ("run", "preflight", "show", "serve", "alert")}
    assert names >= {
        ("audit", name)
        for name in ("show", "rows", "leaks", "diff", "verify", "sign", "rebuild", "export")
    }


def test_every_command_shows_examples_of_itself() -> None:
    group = typer.main.get_group(cli.app)
    for path in commands(group):
        command, context = group, typer.Context(group, info_name="knowhow")
        for name in path:
            command = command.get_command(context, name)
            context = typer.Context(command, info_name=name, parent=context)
        text = command.get_help(context)
        assert f"knowhow {' '.join(path)}" in text.partition("Examples:")[2], path


@pytest.mark.parametrize(
    ("group", "not_imported"),
    [
        (
            "",
            {
                "dvc",
                "prefect",
                "pyarrow",
                "psutil",
                "ruamel.yaml",
                "flows.commands.serve",
                "lineage",
            },
        ),
        ("audit", {"dvc", "prefect", "torch", "flows.commands.serve"}),
        ("nightly", {"dvc", "prefect", "torch"}),
    ],
)
def test_help_waits_for_nothing_that_it_does_not_show(
    group: str, not_imported: set[str], tmp_path: Path
) -> None:
    imported = imported_by(tmp_path, *filter(None, [group]), "--help")
    assert "typer" in imported
    assert not imported & not_imported


def test_completion_is_installed_and_knows_commands_below(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = knowhow(tmp_path, "--install-completion", "bash", **home)
    assert done.returncode == 0, done.stderr
    assert "knowhow" in (tmp_path / ".bash_completions/knowhow.sh").read_text()
    for words, completions in (("audit l", ["leaks"]), ("nightly s", ["show", "serve"])):
        typed = {"_KNOWHOW_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
        done = knowhow(tmp_path, COMP_WORDS=f"knowhow {words}", **typed)
        assert done.stdout.split() == completions


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("round add n1 --parent i", ["i1", "i2", "i3"]),
        ("round add n1 --recipe inf", ["information"]),
        ("plan update@o", ["update@o1", "update@o2", "update@o3"]),
        ("audit show o", ["o1", "o2", "o3"]),
        ("audit verifier i", ["i1", "i2", "i3"]),
    ],
)
def test_the_tab_key_knows_what_the_checkout_calls_its_things(
    words: str, completions: list[str]
) -> None:
    typed = {"_KNOWHOW_COMPLETE": "complete_bash", "COMP_CWORD": str(len(words.split()))}
    done = knowhow(ROOT, COMP_WORDS=f"knowhow {words}", **typed)
    assert done.stdout.split() == completions


def test_the_tab_key_knows_a_tables_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"reward": [1.0], "rollout_id": ["a"]}), tmp_path / "t.parquet")
    typed = {"_KNOWHOW_COMPLETE": "complete_bash", "COMP_CWORD": "4"}
    words = "knowhow tables t.parquet --columns reward,ro"
    done = knowhow(tmp_path, COMP_WORDS=words, **typed)
    assert done.stdout.split() == ["reward,rollout_id"]


def test_the_version_names_its_commit(tmp_path: Path) -> None:
    done = knowhow(tmp_path, "--version")
    commit = succeed(["git", "rev-parse", "--short=12", "HEAD"], ROOT).strip()
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"knowhow [\d.]+ \({commit}(-dirty)?\)\n", done.stdout)

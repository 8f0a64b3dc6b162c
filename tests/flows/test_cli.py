"""The `knowhow` command: help, completion, colours, tables, the report. What it runs has tests of its own."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner, Result

from flows import cli

ROOT = Path(__file__).parents[2]
TABLE = "data/rounds/i1/scores.parquet"
GROUPS = ("round", "nightly", "audit")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / TABLE
    path.parent.mkdir(parents=True)
    described = {"description": "rollout judged"}
    schema = pa.schema(
        [
            pa.field("rollout_id", pa.string(), nullable=False, metadata=described),
            pa.field("reward", pa.float32()),
            pa.field("tokens", pa.list_(pa.int32())),
        ]
    )
    rows = [
        {"rollout_id": f"i1/{index}", "reward": reward, "tokens": list(range(40))}
        for index, reward in enumerate([1.0, 0.0, None, 1.0, 1.0])
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    left_out = tmp_path / "data/experiments/a/data/demos.parquet"
    left_out.parent.mkdir(parents=True)
    left_out.write_bytes(path.read_bytes())
    return tmp_path


def tables(folder: Path, *arguments: str) -> Result:
    """The command in this process, which has paid for its imports."""
    with contextlib.chdir(folder):
        return CliRunner().invoke(cli.app, ["tables", *arguments])


def knowhow(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), **environment}
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def commands(group: TyperGroup, *path: str) -> Iterator[tuple[str, ...]]:
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, TyperGroup):
            yield from commands(command, *path, name)


def test_all_that_is_promised_is_there() -> None:
    found = set(commands(typer.main.get_group(cli.app)))
    assert found >= {(name,) for name in ("plan", "train", "report", "tables", *GROUPS)}
    assert found >= {("round", "add")}
    assert found >= {("nightly", name) for name in ("run", "preflight", "show", "serve", "alert")}
    assert found >= {
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
    ("arguments", "not_imported"),
    [
        (["--help"], ["dvc", "prefect", "pyarrow", "flows.serve", "lineage"]),
        (["audit", "--help"], ["dvc", "prefect", "torch", "flows.serve"]),
        (["nightly", "--help"], ["dvc", "prefect", "torch"]),
        (["tables", TABLE], ["dvc", "prefect", "torch"]),
    ],
)
def test_nothing_is_imported_that_a_command_does_not_need(
    arguments: list[str], not_imported: list[str], folder: Path
) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-X", "importtime", "-m", "flows.cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & set(not_imported)


def test_completion_is_installed_and_knows_commands_below(folder: Path) -> None:
    done = knowhow(
        folder, "--install-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"
    )
    assert done.returncode == 0, done.stderr
    assert "knowhow" in (folder / ".bash_completions/knowhow.sh").read_text()
    asked = {"_KNOWHOW_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    assert knowhow(folder, COMP_WORDS="knowhow audit l", **asked).stdout.split() == ["leaks"]
    assert knowhow(folder, COMP_WORDS="knowhow nightly s", **asked).stdout.split() == [
        "show",
        "serve",
    ]


def test_an_error_is_red_on_a_terminal_and_nowhere_else(folder: Path) -> None:
    def seen(**environment: str) -> str:
        ours, theirs = pty.openpty()
        env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        command = [sys.executable, "-m", "flows.cli", "report"]
        done = subprocess.run(command, cwd=folder, env=env, stderr=theirs, check=False)
        os.close(theirs)
        assert done.returncode == 2
        return os.read(ours, 10_000).decode()

    assert seen().startswith("\x1b[31merror:\x1b[0m data/report/report.html is missing")
    assert seen(NO_COLOR="1").startswith("error: data/report/report.html is missing")
    assert knowhow(folder, "report").stderr.startswith("error: data/report/report.html is missing")


def test_tables_are_listed_but_not_those_of_experiments(folder: Path) -> None:
    lines = tables(folder).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["TABLE", "ROWS", "COLUMNS"],
        [TABLE, "5", "rollout_id", "reward", "tokens"],
    ]


def test_a_table_is_explained_and_its_lists_are_cut(folder: Path) -> None:
    assert tables(folder, TABLE, "--limit", "1").stdout.splitlines() == [
        "COLUMN      TYPE                  WHAT IT IS",
        "rollout_id  string                rollout judged",
        "reward      float",
        "tokens      list<element: int32>",
        "",
        "row 0",
        "  rollout_id  i1/0",
        "  reward      1",
        "  tokens      [0, 1, 2, 3, 4, 5, … 40 in all]",
        "",
        "1 of 5 rows shown.",
    ]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (["reward=1"], ["i1/0", "i1/3", "i1/4"]),
        (["reward=null"], ["i1/2"]),
        (["reward=1", "rollout_id=i1/3"], ["i1/3"]),
        (["reward=7"], []),
    ],
)
def test_rows_are_found_by_value(where: list[str], found: list[str], folder: Path) -> None:
    conditions = [argument for condition in where for argument in ("--where", condition)]
    done = tables(
        folder, TABLE, *conditions, "--columns", "rollout_id,tokens", "--json", "--limit", "9"
    )
    content = json.loads(done.stdout)
    assert [row["rollout_id"] for row in content["rows"]] == found
    assert [row["tokens"] for row in content["rows"]] == [list(range(40))] * len(found)
    assert (content["num_rows"], content["num_found"]) == (5, len(found))
    assert [column["column"] for column in content["schema"]] == ["rollout_id", "tokens"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            [TABLE, "--columns", "rewards"],
            "has no column rewards; choose from rollout_id, reward, tokens",
        ),
        ([TABLE, "--where", "reward"], "--where reward is not COLUMN=VALUE"),
        ([TABLE, "--where", "reward=much"], "much is no float, which column reward"),
        ([TABLE, "--where", "tokens=1"], "1 is no list<element: int32>, which column tokens"),
        (["broken.parquet"], "broken.parquet is no Parquet table"),
    ],
)
def test_what_is_not_in_a_table_is_named(arguments: list[str], named: str, folder: Path) -> None:
    (folder / "broken.parquet").write_text("PAR2")
    done = tables(folder, *arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_the_report_is_found_or_missed(folder: Path) -> None:
    done = knowhow(folder, "report")
    assert (done.returncode, done.stdout) == (2, "")
    assert "data/report/report.html is missing; `knowhow train` makes it" in done.stderr
    (folder / "data/report").mkdir()
    (folder / "data/report/report.html").touch()
    assert knowhow(folder, "report").stdout == "data/report/report.html\n"
    opened = knowhow(folder, "report", "--open", BROWSER="echo %s")
    assert (folder / "data/report/report.html").as_uri() in opened.stdout

"""`knowhow tables`: what is listed, explained, cut, selected and refused."""

import contextlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from flows import cli
from tests.flows.command import imported_by

TABLE = "data/rounds/i1/scores.parquet"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / TABLE
    path.parent.mkdir(parents=True)
    described = {"description": "rollout scored"}
    schema = pa.schema(
        [
            pa.field("rollout_id", pa.string(), nullable=False, metadata=described),
            pa.field("reward", pa.float32()),
            pa.field("tokens", pa.list_(pa.int32())),
        ]
    )
    rows = []
    for index, reward in enumerate([1.0, 0.0, None, 1.0, 1.0]):
        row = {"rollout_id": f"i1/{index}", "reward": reward, "tokens": list(range(40))}
        rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    left_out = tmp_path / "data/experiments/a/data/demos.parquet"
    left_out.parent.mkdir(parents=True)
    left_out.write_bytes(path.read_bytes())
    return tmp_path


def tables(folder: Path, *arguments: str) -> Result:
    """The command in this process, which has paid for its imports."""
    with contextlib.chdir(folder):
        return CliRunner().invoke(cli.app, ["tables", *arguments])


def test_tables_are_listed_but_not_those_of_experiments(folder: Path) -> None:
    lines = tables(folder).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["TABLE", "ROWS", "COLUMNS"],
        [TABLE, "5", "rollout_id", "reward", "tokens"],
    ]


def test_a_table_is_explained_and_its_lists_are_cut(folder: Path) -> None:
    assert tables(folder, TABLE, "--limit", "1").stdout.splitlines() == [
        "COLUMN      TYPE                  WHAT IT IS",
        "rollout_id  string                rollout scored",
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
        ([TABLE, "--where", "reward=much"], "much is not of type float, which column reward"),
        (
            [TABLE, "--where", "tokens=1"],
            "1 is not of type list<element: int32>, which column tokens",
        ),
        (["broken.parquet"], "broken.parquet is not a Parquet table"),
    ],
)
def test_what_is_not_in_a_table_is_named(arguments: list[str], named: str, folder: Path) -> None:
    (folder / "broken.parquet").write_text("PAR2")
    done = tables(folder, *arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_neither_dvc_nor_prefect_nor_torch_is_waited_for(folder: Path) -> None:
    assert not imported_by(folder, "tables", TABLE) & {"dvc", "prefect", "torch"}

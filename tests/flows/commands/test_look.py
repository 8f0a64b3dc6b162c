"""`knowhow look` on a folder as the graph leaves it, during a run, and where metrics are spoilt."""

import json
from pathlib import Path

import pytest

from flows.commands.look import end_lines, finding_line
from tests.flows.command import imported_by, knowhow
from tests.world import SCORED, World, make_world, write_json

POLICY = {
    "policy": "i1",
    "temperature": 0.35,
    "budget_tokens": 72,
    "num_problems": 400,
    "success": 0.5,
    "success_low": 0.4,
    "success_high": 0.6,
}
FINDING = {"rule": "falling", "message": "it falls\x1b[2J", "key": "recipes.a.b", "cure": "less"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def falling(world: World) -> None:
    for name, success in (("i1", 0.6), ("i2", 0.3)):
        path = world.data / "metrics/summary/rounds" / f"{name}.json"
        write_json(path, {**SCORED, "success": success})


def test_policies_rounds_and_findings(world: World, tmp_path: Path) -> None:
    falling(world)
    done = knowhow(tmp_path, "look")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["CHAIN", "ROUND", "REWARD", "SUCCESS"]
    assert [line.split()[:4] for line in lines[1:4]] == [
        ["i2", "i1", "0.500", "60.0%"],
        ["i2", "i2", "0.500", "30.0%"],
        ["o1", "o1", "0.500", "50.0%"],
    ]
    assert "success at 8 tokens, 4 held-out problems" in done.stdout
    assert "against r0" in done.stdout
    assert "! the chain is falling" in done.stdout
    assert "turn recipes.information.update.optimizer.learning_rate" in done.stdout
    assert lines[-1].startswith("read on: data/report/report.html")


def test_a_run_ends_in_six_lines_where_nothing_is_wrong(world: World, tmp_path: Path) -> None:
    world.edit_params(lambda raw: raw.update(exams={n: raw["exams"][n] for n in ("r0", "i2")}))
    done = knowhow(tmp_path, "look", "--short")
    assert "ROUND" not in done.stdout
    assert "no rule finds anything wrong" in done.stdout
    assert len(done.stdout.splitlines()) <= 6


def test_json_during_a_run_changes_no_file(world: World, tmp_path: Path) -> None:
    (world.data / "metrics/updates/i2.json").unlink()
    (world.data / "metrics/summary/rounds/o1.json").unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    summary = json.loads(knowhow(tmp_path, "look", "--json").stdout)
    assert [row["round"] for row in summary["rounds"]] == ["i1", "i2"]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_before_anything_is_measured(world: World, tmp_path: Path) -> None:
    for path in world.data.rglob("*.json"):
        path.unlink()
    done = knowhow(tmp_path, "look")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("no policy is examined yet")


def test_spoilt_metrics_are_named(world: World, tmp_path: Path) -> None:
    (world.data / "metrics/summary/rounds/i1.json").write_text("{")
    done = knowhow(tmp_path, "look")
    assert done.returncode == 2
    assert "error: " in done.stderr
    assert "summary/rounds/i1.json is corrupt" in done.stderr


def test_only_the_last_policies_are_told(tmp_path: Path) -> None:
    policies = [{**POLICY, "policy": f"i{number}"} for number in range(1, 8)]
    lines = end_lines({"policies": policies, "rounds": [], "findings": [FINDING]})
    assert [line.split()[0] for line in lines[1:5]] == ["i4", "i5", "i6", "i7"]
    assert lines[5] == "and 3 before, in the report"


def test_what_files_say_does_not_steer_the_terminal() -> None:
    assert finding_line(FINDING) == "! it falls\\x1b[2J; turn recipes.a.b: less"


def test_it_waits_for_no_engine(world: World, tmp_path: Path) -> None:
    loaded = imported_by(tmp_path, "look", "--short")
    assert not {"dvc.repo", "prefect", "torch", "pandas"} & loaded

"""`knowhow round add`: one line more in params.yaml, and nothing written that is not valid."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fixtures.checkouts import ROOT
from tests.flows.command import knowhow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def add(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return knowhow(folder, "round", "add", *arguments)


def leave_exam(folder: Path, policy: str, **curriculum: object) -> None:
    path = folder / "data/metrics/exams" / f"{policy}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"curriculum": curriculum}))


def test_a_round_is_one_line_and_nothing_else_changes(folder: Path) -> None:
    before = (folder / "params.yaml").read_text().splitlines()
    done = add(folder, "i4", "--parent", "i3", "--recipe", "information")
    assert done.returncode == 0, done.stderr
    after = (folder / "params.yaml").read_text().splitlines()
    line = "  i4: {parent: i3, reference: r0, recipe: information, judge: exact, seed: 4}"
    exam = after.index("  i4: {judge: exact}")
    assert after[exam - 1] == "  i3: {judge: exact}"
    del after[exam]
    at = after.index(line)
    assert before == after[:at] + after[at + 1 :]
    assert before[at - 1].startswith("  o3:")  # behind the last round, before the empty line


def test_a_curriculum_is_written_out_as_a_recipe(folder: Path) -> None:
    leave_exam(folder, "i3", budget_tokens=36, difficulties=[3, 4], budget_tokens_by_difficulty={})
    done = add(
        folder, "x1", "--parent", "i3", "--recipe", "information", "--curriculum", "--seed", "9"
    )
    assert done.returncode == 0, done.stderr
    content = yaml.safe_load((folder / "params.yaml").read_text())
    recipe, base = content["recipes"]["information_x1"], content["recipes"]["information"]
    assert content["rounds"]["x1"] | {"reference": "r0"} == {
        "parent": "i3",
        "reference": "r0",
        "recipe": "information_x1",
        "judge": "exact",
        "seed": 9,
    }
    assert recipe["rollout"] == {**base["rollout"], "budget_tokens": 36, "difficulties": [3, 4]}
    assert (recipe["update"], recipe["probe"]) == (base["update"], base["probe"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["i1", "--parent", "r0", "--recipe", "information"], "has a policy i1"),
        (
            ["n1", "--parent", "r0", "--recipe", "info"],
            "no recipe info; choose from ['information', 'outcome']",
        ),
        (
            ["n1", "--parent", "i9", "--recipe", "information"],
            "rounds.n1.parent: no policy named i9",
        ),
        (["n1", "--parent", "r0", "--recipe", "information", "--judge", "g1"], "no judge named g1"),
        (["n1", "--parent", "i3", "--recipe", "information", "--curriculum"], "i3.json is missing"),
        (
            ["n1", "--parent", "r0", "--recipe", "information", "--curriculum"],
            "r0.json proposes no budget",
        ),
    ],
)
def test_a_round_that_cannot_be_is_refused_and_nothing_written(
    arguments: list[str], named: str, folder: Path
) -> None:
    leave_exam(folder, "r0", budget_tokens=None, difficulties=[])
    before = (folder / "params.yaml").read_bytes()
    done = add(folder, *arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "params.yaml").read_bytes() == before
    assert [path.name for path in folder.glob("*.yaml")] == ["params.yaml"]


def test_two_arms_of_one_length_draw_the_same_problems_and_a_replicate_others(folder: Path) -> None:
    for name, parent, recipe in (
        ("i4", "i3", "information"),
        ("o4", "o3", "outcome"),
        ("p4", "o3", "outcome"),
    ):
        done = add(folder, name, "--parent", parent, "--recipe", recipe, "--no-exam")
        assert done.returncode == 0, done.stderr
        assert "without an exam" in done.stdout
    content = yaml.safe_load((folder / "params.yaml").read_text())
    assert [content["rounds"][name]["seed"] for name in ("i4", "o4", "p4")] == [4, 4, 5]
    assert "i4" not in content["exams"]


def test_a_round_that_is_removed_leaves_the_file_as_it_was(folder: Path) -> None:
    shutil.copy(ROOT / "dvc.yaml", folder)
    leave_exam(folder, "i3", budget_tokens=36, difficulties=[3, 4], budget_tokens_by_difficulty={})
    before = (folder / "params.yaml").read_text()
    done = add(folder, "x1", "--parent", "i3", "--recipe", "information", "--curriculum")
    assert done.returncode == 0, done.stderr
    removed = knowhow(folder, "round", "remove", "x1")
    assert removed.returncode == 0, removed.stderr
    assert "knowhow tidy" in removed.stdout
    assert yaml.safe_load((folder / "params.yaml").read_text()) == yaml.safe_load(before)


@pytest.mark.parametrize(
    ("name", "told"),
    [("i9", "no round i9; choose from"), ("o2", "rounds.o3.parent"), ("i3", "the champion")],
)
def test_a_round_that_is_needed_or_unknown_is_not_removed(
    name: str, told: str, folder: Path
) -> None:
    shutil.copy(ROOT / "dvc.yaml", folder)
    before = (folder / "params.yaml").read_text()
    done = knowhow(folder, "round", "remove", name)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert (folder / "params.yaml").read_text() == before

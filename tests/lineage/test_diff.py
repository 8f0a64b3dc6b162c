"""What two policies differ by, of one commit or of two."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage.audit import open_audit
from lineage.contents import Reader, tables
from lineage.diff import diff, page, text
from lineage.lock import File, Step
from lineage.store import Store, digests
from lineage.tree import open_tree
from tests.conftest import run, succeed
from tests.lineage import chain
from tests.lineage.test_show import Page


def compared(
    repository: Path,
    before: str,
    after: str,
    revisions: tuple[str | None, str | None] = (None, None),
) -> dict[str, Any]:
    first, second = (open_audit(repository, revision) for revision in revisions)
    found = diff(first, before, second, after)
    assert json.loads(json.dumps(found)) == found
    return found


def params(found: dict[str, Any]) -> dict[str, Any]:
    return {
        entry["key"]: (entry["before"], entry["after"], entry["at"]) for entry in found["params"]
    }


def table(repository: Path, path: str) -> Any:
    return pq.read_table(repository / path).to_pandas()


def test_a_policy_differs_in_nothing_from_itself(audited: Path) -> None:
    found = compared(audited, "s1", "s1", ("HEAD", None))
    assert found["is_equal"]
    assert found["params"] == found["code"]["files"] == found["environment"]["pinned"] == []
    assert found["policies"] == {"shared": ["r0", "i1", "s1"], "only_before": [], "only_after": []}
    assert all(
        entry["rows_only_before"] == entry["rows_only_after"] == 0 for entry in found["data"]
    )
    assert all(entry["before"] == entry["after"] for entry in found["rewards"])
    assert not found["exam"]["is_paired"]
    assert "the same weights, byte for byte" in chain.printed(text(found))


def test_rows_are_counted_by_what_they_say(audited: Path) -> None:
    found = {entry["table"]: entry for entry in compared(audited, "i1", "s1")["data"]}
    then, now = (table(audited, f"data/rounds/{name}/rollouts.parquet") for name in ("i1", "s1"))
    said = [
        {(row.problem_id, tuple(row.completion_tokens)) for row in rows.itertuples()}
        for rows in (then, now)
    ]
    new = sum(
        (row.problem_id, tuple(row.completion_tokens)) not in said[0] for row in now.itertuples()
    )
    assert found["rollouts"]["before"] == {
        "rows": len(then),
        "problems": then["problem_id"].nunique(),
    }
    assert found["rollouts"]["after"]["rows"] == len(then) + len(
        now
    )  # those of i1 are ancestors of s1, too
    assert (found["rollouts"]["rows_only_before"], found["rollouts"]["rows_only_after"]) == (0, new)
    assert found["rollouts"]["shared_problems"] == then["problem_id"].nunique()
    demos = table(audited, "data/demos/r0.parquet")
    assert found["demos"]["after"] == {
        "rows": len(demos),
        "problems": demos["problem_id"].nunique(),
    }


def test_rewards_of_each_round(audited: Path) -> None:
    rounds = compared(audited, "i1", "s1")["rewards"]
    scores = table(audited, "data/rounds/s1/scores.parquet")
    assert [entry["after"]["round"] for entry in rounds] == ["i1", "s1"]
    assert rounds[0]["before"] == rounds[0]["after"]
    assert rounds[1]["before"] is None
    assert rounds[1]["after"]["mean_reward"] == pytest.approx(scores["reward"].mean())
    assert rounds[1]["after"]["verdicts"] == scores["verdict"].value_counts().sort_index().to_dict()


def test_params_are_held_against_each_other_by_what_they_mean(audited: Path) -> None:
    found = params(compared(audited, "i1", "s1"))
    assert found["round.recipe"] == ("information", "sampled", [["i1", "s1"]])
    assert found["recipe.update.optimizer.learning_rate"] == (0.0006, 0.0003, [["i1", "s1"]])
    assert found["recipe.probe.num_probes"] == (None, 8, [["i1", "s1"]])
    assert "round.parent" not in found
    assert "task.seed" not in found


@pytest.mark.parametrize(("before", "after", "sign"), [("r0", "s1", 1), ("s1", "r0", -1)])
def test_exams_in_pairs_either_way_round(audited: Path, before: str, after: str, sign: int) -> None:
    exam = compared(audited, before, after)["exam"]
    taken = json.loads((audited / "data/report/comparisons.json").read_text())["s1_minus_r0"][
        "difficulty_2"
    ]["budget_9"]
    entry = exam["levels"]["difficulty_2"]["9"]
    assert exam["is_paired"]
    assert exam["is_same_exam"]
    assert entry["difference"]["mean"] == sign * taken["mean"]
    assert sorted(entry["difference"].values()) == sorted(sign * end for end in taken.values())
    assert entry["difference"]["low"] <= entry["difference"]["high"]
    metrics = json.loads((audited / f"data/metrics/exams/{after}.json").read_text())
    assert entry["after"] == metrics["difficulty_2"]["success"]["budget_9"]


def test_a_policy_that_sat_no_exam(audited: Path) -> None:
    found = compared(audited, "i1", "s1")
    assert found["exam"]["missing"] == ["i1"]
    assert found["exam"]["is_same_exam"] is None
    assert found["exam"]["levels"]["all"]["27"]["difference"] is None
    assert "exam: i1 sat none" in chain.printed(text(found))


def test_a_bare_clone_without_tables_says_so_and_tells_the_rest(
    audited: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "bare.git"
    succeed(["git", "clone", "--quiet", "--bare", str(audited), str(clone)], tmp_path)
    found = compared(clone, "r0", "s1")
    assert all(
        "any place: no cache and no remote is known here" in entry["unknown"]
        for entry in found["data"]
    )
    assert found["rewards"][-1]["after"]["unknown"]
    assert found["exam"] == compared(audited, "r0", "s1")["exam"]
    assert found["environment"]["ran"] is None
    told = " ".join(chain.printed(text(found)).split())
    assert "those that ran are unknown here for r0, s1" in told
    assert "rollouts unknown: data/rounds/i1/rollouts.parquet" in told
    with_cache = open_audit(clone, None, str(audited / ".dvc" / "cache"))
    assert diff(with_cache, "r0", with_cache, "s1")["data"] == compared(audited, "r0", "s1")["data"]


def test_two_commits_differ_in_code_and_packages(tmp_path: Path) -> None:
    steps = chain.chain(2)
    chain.write(
        tmp_path,
        steps,
        files={"stages/update.py": "a\nb\n", "requirements/cpu.txt": "numpy==2.3.5\nold==1\n"},
    )
    for step in steps.values():
        for dep in step["deps"]:
            if dep["path"] == "stages/update.py":
                dep["md5"] = "0" * 32
    for out in steps["update@n2"]["outs"]:
        out["md5"] = out["md5"].replace(out["md5"][:4], "0000")
    steps["update@n2"]["params"]["params.yaml"]["recipes.outcome.update"] = chain.UPDATE | {
        "alpha": 2.0
    }
    new = {
        "stages/update.py": "a\nc\nd\n",
        "requirements/cpu.txt": "# pins\nnumpy==2.4.0 ; python_version > '3'\nnew==2\n",
    }
    chain.write(tmp_path, steps, files=new)
    found = compared(tmp_path, "n2", "n2", ("HEAD~1", None))
    assert found["policies"] == {
        "shared": ["r0", "n1"],
        "only_before": ["n2"],
        "only_after": ["n2"],
    }
    assert params(found) == {"recipe.update.alpha": (1.0, 2.0, [["n2", "n2"]])}
    (file,) = found["code"]["files"]
    assert (file["path"], file["added"], file["removed"], file["steps"]) == (
        "stages/update.py",
        2,
        1,
        ["update"],
    )
    assert file["after"] == ["0" * 32]
    assert found["code"]["total"].startswith("3 files changed")
    assert [
        (pin["package"], pin["before"], pin["after"]) for pin in found["environment"]["pinned"]
    ] == [
        ("new", None, "2"),
        ("numpy", "2.3.5", "2.4.0"),
        ("old", "1", None),
    ]
    assert found["exam"]["is_same_exam"]
    assert not found["exam"]["is_paired"]
    assert "paired difference unknown" in chain.printed(text(found))


def test_chains_are_paired_by_place(tmp_path: Path) -> None:
    steps = chain.beginning()
    for number in (1, 2, 3):
        for name in ("a", "b"):
            steps |= chain.round_of(
                f"{name}{number}", f"{name}{number - 1}" if number > 1 else "r0", number
            )
    steps["rollout@b2"]["params"]["params.yaml"]["rounds.b2"]["reference"] = "b1"
    steps["rollout@b3"]["params"]["params.yaml"]["rounds.b3"]["seed"] = 9
    chain.write(tmp_path, steps)
    found = compared(tmp_path, "a3", "b3")
    assert found["policies"]["shared"] == ["r0"]
    assert params(found) == {
        "round.reference": ("r0", "b1", [["a2", "b2"]]),
        "round.seed": (3, 9, [["a3", "b3"]]),
    }
    assert [(entry["before"]["round"], entry["after"]["round"]) for entry in found["rewards"]] == [
        ("a1", "b1"),
        ("a2", "b2"),
        ("a3", "b3"),
    ]
    longer = params(compared(tmp_path, "a1", "a3"))
    assert set(longer) == {"round.seed"}


def test_another_judge_is_a_difference(tmp_path: Path) -> None:
    steps = chain.beginning() | chain.round_of("a1", "r0", 1) | chain.judge_of("j1", "r0", "a1")
    steps |= chain.round_of("b1", "r0", 1, judge="j1") | chain.round_of("c1", "r0", 1, judge="j1")
    chain.write(tmp_path, steps)
    found = params(compared(tmp_path, "a1", "b1"))
    assert found["round.judge"][:2] == ("exact", "j1")
    assert found["judge.seed"][:2] == (None, 5)
    assert compared(tmp_path, "b1", "c1")["params"] == []


def test_another_exam_cannot_be_held_against_the_first(tmp_path: Path) -> None:
    steps = chain.chain(1)
    steps["examine@n1"]["params"]["params.yaml"]["exam"] = {"seed": 8}
    chain.write(tmp_path, steps)
    found = compared(tmp_path, "r0", "n1")
    assert found["exam"]["is_same_exam"] is False
    assert "not the same one" in chain.printed(text(found))


def test_rows_are_found_again_in_any_order(tmp_path: Path) -> None:
    """In more than one batch: only new rows are new."""
    chain.write(tmp_path, {})
    sides = []
    for name, shift in (("a", 0), ("b", 10)):
        numbers = np.random.default_rng(shift).permutation(np.arange(shift, 100_000 + shift))
        rows = {
            "problem_id": [f"p{n % 1000}" for n in numbers],
            "completion_tokens": [[n, 1] for n in numbers.tolist()],
        }
        pq.write_table(pa.table(rows), tmp_path / f"{name}.parquet")
        with (tmp_path / f"{name}.parquet").open("rb") as stream:
            file = File(f"{name}.parquet", digests(stream).md5, 1)
        step = Step(f"rollout@{name}", f"python --rollouts {name}.parquet", (), (file,), {})
        sides.append(Reader(Store(open_tree(tmp_path), ()), [step], {}))
    (rollouts,) = (entry for entry in tables(*sides) if entry["table"] == "rollouts")
    assert rollouts["after"] == {"rows": 100_000, "problems": 1000}
    assert (rollouts["rows_only_before"], rollouts["rows_only_after"]) == (10, 10)


def test_the_page_stands_alone(audited: Path) -> None:
    content = page(compared(audited, "r0", "s1"))
    parsed = Page(content)
    assert not {"script", "link", "img", "iframe"} & {*parsed.tags}
    assert {target[1:] for target in parsed.targets} <= {*parsed.ids}
    assert {"policies", "params", "code", "packages", "data", "rewards", "exam"} == {*parsed.ids}
    assert "default-src 'none'" in content


def test_thirty_rounds_fit_a_page(tmp_path: Path) -> None:
    steps = chain.chain(30)
    for number in range(1, 31):
        steps |= chain.round_of(f"m{number}", f"m{number - 1}" if number > 1 else "r0", 2 * number)
    chain.write(tmp_path, steps)
    lines = chain.printed(text(compared(tmp_path, "n30", "m30"))).splitlines()
    assert max(map(len, lines)) <= 100
    assert any("n1, n2 … n30 (30) only for n30" in line for line in lines)


def test_the_command(audited: Path, tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    command = ["python", "-m", "lineage", "diff", "r0", "s1@HEAD", "--repo", str(audited)]
    done = run([*command, "--html", str(tmp_path / "d.html")], root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("r0 (commit ")
    assert (tmp_path / "d.html").read_text().startswith("<!DOCTYPE html>")
    assert json.loads(run([*command, "--json"], root).stdout)["after"]["policy"] == "s1"

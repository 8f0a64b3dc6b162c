"""What two policies differ by, of one commit or of two."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fixtures.checkouts import succeed
from lineage.answers.diff import Cell, Diff, diff
from lineage.data.contents import Counts, Rewards, TableDifference, UnknownRewards
from lineage.data.exam import Difference, Estimate
from lineage.record.audit import open_audit
from lineage.record.values import Value
from lineage.telling.plain import plain
from tests.lineage import chain

NOWHERE = "any place: no cache and no remote is known here"


def compared(
    repository: Path,
    before: str,
    after: str,
    revisions: tuple[str | None, str | None] = (None, None),
) -> Diff:
    first, second = (open_audit(repository, revision) for revision in revisions)
    return diff(first, before, second, after)


def params(answer: Diff) -> dict[str, tuple[Value, Value, list[tuple[str, str]]]]:
    return {entry.key: (entry.before, entry.after, entry.at) for entry in answer.params}


def tables(answer: Diff) -> dict[str, TableDifference]:
    return {table.table: table for table in answer.data if isinstance(table, TableDifference)}


def table(repository: Path, path: str) -> Any:
    return pq.read_table(repository / path).to_pandas()


def test_a_policy_differs_in_nothing_from_itself(audited: Path) -> None:
    answer = compared(audited, "s1", "s1", ("HEAD", None))
    assert answer.is_equal
    assert answer.params == answer.code.files == answer.environment.pinned == []
    assert answer.policies.shared == ["r0", "i1", "s1"]
    assert answer.policies.only_before == answer.policies.only_after == []
    assert len(tables(answer)) == 3
    assert all(one.rows_only_before == one.rows_only_after == 0 for one in tables(answer).values())
    assert all(pair.before == pair.after for pair in answer.rewards)
    assert not answer.exam.is_paired


def test_its_json_is_what_it_was(audited: Path) -> None:
    answer = plain(compared(audited, "i1", "s1"))
    assert json.loads(json.dumps(answer)) == answer
    assert list(answer) == [
        *("before", "after", "is_equal", "policies", "params", "code", "environment", "data"),
        *("rewards", "exam"),
    ]
    code = ["files", "num_same", "only_before", "only_after", "commits", "total"]
    assert list(answer["code"]) == code
    rewards = ["round", "md5", "rows", "mean_reward", "verdicts", "unknown"]
    assert list(answer["rewards"][0]["before"]) == rewards
    assert answer["params"][0]["at"] == [["i1", "s1"]]
    cell = answer["exam"]["levels"]["all"]["27"]
    assert list(cell) == ["before", "after", "difference"]
    assert list(cell["after"]) == ["high", "low", "mean"]


def test_rows_are_counted_by_their_content(audited: Path) -> None:
    by_kind = tables(compared(audited, "i1", "s1"))
    then, now = (table(audited, f"data/rounds/{name}/rollouts.parquet") for name in ("i1", "s1"))
    contents = {(row.problem_id, tuple(row.completion_tokens)) for row in then.itertuples()}
    num_new = 0
    for row in now.itertuples():
        num_new += (row.problem_id, tuple(row.completion_tokens)) not in contents
    rollouts, num_problems = by_kind["rollouts"], then["problem_id"].nunique()
    assert rollouts.before == Counts(len(then), num_problems)
    assert rollouts.after.rows == len(then) + len(now)  # those of i1 are ancestors of s1, too
    assert (rollouts.rows_only_before, rollouts.rows_only_after) == (0, num_new)
    assert rollouts.shared_problems == num_problems
    demos = table(audited, "data/demos/r0.parquet")
    assert by_kind["demos"].after == Counts(len(demos), demos["problem_id"].nunique())


def test_rewards_of_each_round(audited: Path) -> None:
    first, second = compared(audited, "i1", "s1").rewards
    scores = table(audited, "data/rounds/s1/scores.parquet")
    assert first.is_shared
    assert first.before == first.after
    assert second.before is None
    assert isinstance(first.after, Rewards)
    assert isinstance(second.after, Rewards)
    assert (first.after.round, second.after.round) == ("i1", "s1")
    assert second.after.mean_reward == pytest.approx(scores["reward"].mean())
    assert second.after.verdicts == scores["verdict"].value_counts().sort_index().to_dict()


def test_params_are_held_against_each_other_by_their_place(audited: Path) -> None:
    by_key, at = params(compared(audited, "i1", "s1")), [("i1", "s1")]
    assert by_key["round.recipe"] == ("information", "sampled", at)
    assert by_key["recipe.update.optimizer.learning_rate"] == (0.0006, 0.0003, at)
    assert by_key["recipe.probe.num_probes"] == (None, 8, at)
    assert "round.parent" not in by_key
    assert "task.seed" not in by_key


@pytest.mark.parametrize(("before", "after", "sign"), [("r0", "s1", 1), ("s1", "r0", -1)])
def test_exams_in_pairs_either_way_round(audited: Path, before: str, after: str, sign: int) -> None:
    exam = compared(audited, before, after).exam
    comparisons = json.loads((audited / "data/report/comparisons.json").read_text())
    recorded = comparisons["s1_minus_r0"]["difficulty_2"]["budget_9"]
    cell = exam.levels["difficulty_2"]["9"]
    assert exam.is_paired
    assert exam.is_same_exam
    ends = sorted(sign * recorded[end] for end in ("low", "high"))
    assert cell.difference == Difference(sign * recorded["mean"], *ends)
    metrics = json.loads((audited / f"data/metrics/exams/{after}.json").read_text())
    assert cell.after == Estimate(**metrics["difficulty_2"]["success"]["budget_9"])


def test_a_policy_that_sat_no_exam(audited: Path) -> None:
    exam = compared(audited, "i1", "s1").exam
    assert exam.missing == ["i1"]
    assert exam.is_same_exam is None
    assert exam.levels["all"]["27"] == Cell(None, exam.levels["all"]["27"].after, None)


def test_a_bare_clone_without_tables_has_all_else(audited: Path, tmp_path: Path) -> None:
    clone = tmp_path / "bare.git"
    succeed(["git", "clone", "--quiet", "--bare", str(audited), str(clone)], tmp_path)
    answer, whole = compared(clone, "r0", "s1"), compared(audited, "r0", "s1")
    assert all(NOWHERE in (one.unknown or "") for one in answer.data)
    assert isinstance(answer.rewards[-1].after, UnknownRewards)
    assert answer.exam == whole.exam
    assert answer.environment.ran is None
    with_cache = open_audit(clone, None, str(audited / ".dvc" / "cache"))
    assert diff(with_cache, "r0", with_cache, "s1").data == whole.data


def test_chains_are_paired_by_place(tmp_path: Path) -> None:
    steps = chain.beginning()
    for number in (1, 2, 3):
        for name in ("a", "b"):
            parent = f"{name}{number - 1}" if number > 1 else "r0"
            steps |= chain.round_of(f"{name}{number}", parent, number)
    steps["rollout@b2"]["params"]["params.yaml"]["rounds.b2"]["reference"] = "b1"
    steps["rollout@b3"]["params"]["params.yaml"]["rounds.b3"]["seed"] = 9
    chain.write(tmp_path, steps)
    answer = compared(tmp_path, "a3", "b3")
    assert answer.policies.shared == ["r0"]
    assert params(answer) == {
        "round.reference": ("r0", "b1", [("a2", "b2")]),
        "round.seed": (3, 9, [("a3", "b3")]),
    }
    sides = [(pair.before, pair.after) for pair in answer.rewards]
    names = [(before.round, after.round) for before, after in sides if before and after]
    assert names == [("a1", "b1"), ("a2", "b2"), ("a3", "b3")]
    assert set(params(compared(tmp_path, "a1", "a3"))) == {"round.seed"}


def test_another_judge_is_a_difference(tmp_path: Path) -> None:
    steps = chain.beginning() | chain.round_of("a1", "r0", 1) | chain.judge_of("j1", "r0", "a1")
    steps |= chain.round_of("b1", "r0", 1, judge="j1")
    steps |= chain.round_of("c1", "r0", 1, judge="j1")
    chain.write(tmp_path, steps)
    by_key = params(compared(tmp_path, "a1", "b1"))
    assert by_key["round.judge"][:2] == ("exact", "j1")
    assert by_key["judge.seed"][:2] == (None, 5)
    assert compared(tmp_path, "b1", "c1").params == []


def test_another_exam_is_not_the_same(tmp_path: Path) -> None:
    steps = chain.chain(1)
    steps["examine@n1"]["params"]["params.yaml"]["exam"] = {"seed": 8}
    chain.write(tmp_path, steps)
    assert compared(tmp_path, "r0", "n1").exam.is_same_exam is False


def test_an_exam_is_the_same_whether_grading_is_a_step_of_its_own(tmp_path: Path) -> None:
    """`grade` reads the problems and the task where `evaluate` once did."""
    steps = chain.chain(1)
    for policy, group in (("r0", "evaluate"), ("n1", "grade")):
        steps |= chain.graded_by(group, policy)
    chain.write(tmp_path, steps)
    assert compared(tmp_path, "r0", "n1").exam.is_same_exam
    steps["grade@n1"]["params"]["params.yaml"]["task"] = {"seed": 9}
    chain.write(tmp_path, steps)
    assert not compared(tmp_path, "r0", "n1").exam.is_same_exam

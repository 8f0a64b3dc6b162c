"""Each policy before a policy, with what is known of the step between."""

import json
from pathlib import Path

import pytest

from fixtures.checkouts import succeed
from lineage.record.ancestry import ancestry, first_commits, is_cut, requirements
from lineage.record.errors import AuditError
from lineage.record.tree import open_tree
from tests.lineage import chain


def test_a_policy_has_its_parents_oldest_first(audited: Path) -> None:
    generations = ancestry(open_tree(audited), "s1")
    assert [(each.policy, each.parent) for each in generations] == [
        ("r0", None),
        ("i1", "r0"),
        ("s1", "i1"),
    ]
    results = succeed(
        ["git", "log", "--format=%H", "--diff-filter=A", "--", "dvc.lock"], audited
    ).strip()
    assert {each.commit for each in generations} == {results}
    assert len({each.environment for each in generations}) == 1


def test_what_a_step_took_stands_beside_its_output(audited: Path) -> None:
    first, *_, last = ancestry(open_tree(audited), "s1")
    made_by = {"rollout", "score", "probe", "infogain", "validate", "update"}
    assert set(last.made_by) == made_by
    assert set(last.seconds) == made_by | {"examine", "grade", "evaluate"}
    facts = json.loads((audited / "data/policies/s1.run.json").read_text())
    assert last.facts["update"] == facts
    assert last.seconds["update"] == round(facts["seconds"]["total"], 1)
    assert (
        last.tokens == json.loads((audited / "data/metrics/updates/s1.json").read_text())["tokens"]
    )
    assert last.exam == json.loads((audited / "data/metrics/exams/s1.json").read_text())
    assert last.recipe["rounds.s1"]["recipe"] == "sampled"
    assert "exam" not in last.recipe
    assert set(first.made_by) == {"demonstrate", "sft"}


def test_a_commit_knows_no_seconds(audited: Path) -> None:
    generations = ancestry(open_tree(audited, "HEAD"), "s1")
    assert [each.facts for each in generations] == [{}, {}, {}]
    assert [bool(each.exam) for each in generations] == [True, False, True]


def test_each_policy_has_the_commit_and_the_packages_it_came_with(tmp_path: Path) -> None:
    pins = {"requirements/cpu.txt": "torch==3\n"}
    steps = chain.beginning() | chain.round_of("n1", "r0", 1)
    made = [chain.write(tmp_path, steps)]
    steps |= chain.round_of("n2", "n1", 2)
    made.append(chain.write(tmp_path, steps, files=pins))
    chain.write(
        tmp_path, steps | chain.exam_of("n2")
    )  # the packages of today are again those of the first
    first, second, third = ancestry(open_tree(tmp_path), "n2")
    assert [each.commit for each in (first, second, third)] == [made[0], made[0], made[1]]
    assert first.environment == second.environment != third.environment
    assert requirements(open_tree(tmp_path), made[1]) == {"requirements/cpu.txt": b"torch==3\n"}


def test_what_no_commit_has_yet_has_the_packages_that_lie_there(tmp_path: Path) -> None:
    chain.write(tmp_path, chain.beginning())
    names = chain.write(tmp_path, {}, files={"requirements/cpu.txt": "torch==3\n"})
    chain.write(tmp_path, chain.beginning() | chain.round_of("n1", "r0", 1))
    succeed(["git", "reset", "--quiet", "--soft", names], tmp_path)
    first, second = ancestry(open_tree(tmp_path), "n1")
    assert (first.commit is None, second.commit) == (False, None)
    assert first.environment == second.environment  # as `write` put the first ones back
    assert first_commits(open_tree(tmp_path), ["0" * 32]) == {}


def test_other_code_has_another_digest(tmp_path: Path) -> None:
    steps = chain.beginning() | chain.round_of("n1", "r0", 1) | chain.round_of("n2", "n1", 2)
    steps["update@n2"]["deps"][-1]["md5"] = "0" * 32
    chain.write(tmp_path, steps)
    _, second, third = ancestry(open_tree(tmp_path), "n2")
    assert second.code != third.code


def test_a_judge_of_the_same_name_is_no_step_of_a_policy(tmp_path: Path) -> None:
    chain.write(
        tmp_path,
        chain.beginning() | chain.round_of("n1", "r0", 1) | chain.judge_of("n1", "r0", "n1"),
    )
    assert set(ancestry(open_tree(tmp_path), "n1")[-1].steps) == {"rollout", "score", "update"}


def test_the_policies_behind_a_judge_are_ancestors(tmp_path: Path) -> None:
    steps = chain.beginning() | chain.round_of("o1", "r0", 1) | chain.round_of("o2", "o1", 1)
    steps |= chain.judge_of("j1", "r0", "o2") | chain.round_of("i1", "r0", 1, judge="j1")
    chain.write(tmp_path, steps)
    generations = ancestry(open_tree(tmp_path), "i1")
    assert {each.policy for each in generations} == {
        "r0",
        "o1",
        "i1",
    }  # o1 sampled round o2; o2 came after
    assert generations[-1].parent == "r0"


def test_metrics_that_are_no_json_are_named(tmp_path: Path) -> None:
    chain.write(tmp_path, chain.chain(1))
    (tmp_path / "data/metrics/updates/n1.json").write_text("{")
    with pytest.raises(AuditError, match=r"updates/n1\.json is not JSON"):
        ancestry(open_tree(tmp_path), "n1")


def test_a_clone_without_older_commits_does_not_know_the_first(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    chain.write(whole, chain.chain(1))
    (whole / "later.txt").touch()
    succeed(["git", "add", "--all"], whole)
    succeed(["git", "commit", "--quiet", "--message", "later"], whole)
    url = f"file://{whole}"
    succeed(["git", "clone", "--quiet", "--depth", "1", url, "cut"], tmp_path)
    for folder, cut in ((whole, False), (tmp_path / "cut", True)):
        tree = open_tree(folder)
        assert is_cut(tree) == cut
        assert all((each.commit is None) == cut for each in ancestry(tree, "n1"))

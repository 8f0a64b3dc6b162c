"""Ancestors of a policy: what is known of each, from a checkout, a bare clone and an old commit."""

import json
from pathlib import Path

import pytest

from fixtures.checkouts import succeed
from lineage.answers.show import Ancestor, Ancestors, Init, Round, show
from lineage.data.exam import Estimate
from lineage.record.audit import open_audit
from lineage.telling.plain import plain
from tests.lineage import chain


def shown(repository: Path, policy: str, revision: str | None = None) -> Ancestors:
    return show(open_audit(repository, revision), policy)


def origin_of_init(ancestor: Ancestor) -> Init:
    assert isinstance(ancestor.origin, Init)
    return ancestor.origin


def origin_of_round(ancestor: Ancestor) -> Round:
    assert isinstance(ancestor.origin, Round)
    return ancestor.origin


def test_what_was_measured_is_shown(audited: Path) -> None:
    first, *_, last = shown(audited, "s1").generations
    facts = json.loads((audited / "data/policies/s1.run.json").read_text())
    assert last.seconds["update@s1"] == round(facts["seconds"]["total"], 1)
    assert last.known_seconds == pytest.approx(sum(last.seconds.values()))
    assert "examine@s1" not in last.seconds
    assert last.packages == facts["packages"]
    origin = origin_of_round(last)
    assert (origin.recipe, origin.judge, origin.seed) == ("sampled", "exact", 2)
    assert (origin.parent, origin.reference) == ("i1", "r0")
    metrics = json.loads((audited / "data/metrics/exams/s1.json").read_text())
    assert last.exam is not None
    success = metrics["difficulty_2"]["success"]["budget_27"]
    assert last.exam.levels["difficulty_2"].success["27"] == Estimate(**success)
    counts = json.loads((audited / "data/policies/r0.run.json").read_text())["counts"]
    assert first.tokens == {"trained": counts["num_tokens"]}
    assert origin_of_init(first).base["shape"]["hidden_size"] == 64


def test_its_json_has_the_fields_of_an_origin_among_its_own(audited: Path) -> None:
    answer = plain(shown(audited, "s1"))
    assert json.loads(json.dumps(answer)) == answer
    assert list(answer) == [
        *("policy", "revision", "is_cut", "problems", "judges", "generations"),
    ]
    first, *_, last = answer["generations"]
    common = ["md5", "commit", "code", "environment", "packages", "params", "tokens", "seconds"]
    common += ["known_seconds", "exam"]
    assert list(last)[:7] == ["policy", "kind", "parent", "reference", "judge", "recipe", "seed"]
    assert list(first)[:6] == ["policy", "kind", "parent", "seed", "base", "demonstrations"]
    assert list(last)[7:] == list(first)[6:] == common


def test_a_bare_clone_knows_less(audited: Path, tmp_path: Path) -> None:
    clone = tmp_path / "bare.git"
    succeed(["git", "clone", "--quiet", "--bare", str(audited), str(clone)], tmp_path)
    here, there = shown(audited, "s1"), shown(clone, "s1")
    assert [ancestor.known_seconds for ancestor in there.generations] == [None, None, None]
    kept = ("policy", "origin", "md5", "commit", "code", "environment", "exam")
    for mine, theirs in zip(here.generations, there.generations, strict=True):
        assert [getattr(mine, name) for name in kept] == [getattr(theirs, name) for name in kept]


def test_an_old_commit_shows_what_it_had(tmp_path: Path) -> None:
    chain.write(tmp_path, chain.chain(1))
    chain.write(tmp_path, chain.chain(2))
    old = shown(tmp_path, "n1", "HEAD~1").generations
    assert [ancestor.policy for ancestor in old] == ["r0", "n1"]
    assert old[-1].exam is not None
    assert shown(tmp_path, "n1").generations[-1].exam is None  # its exam is no longer in the lock


def test_a_parent_that_no_step_made_is_unknown(tmp_path: Path) -> None:
    chain.write(tmp_path, chain.beginning() | chain.round_of("n2", "n1", 2))
    assert shown(tmp_path, "n2").generations[-1].origin.parent is None


def test_a_judge_is_shown_with_what_it_learnt_from(judged: Path) -> None:
    answer = shown(judged, "i3")
    (judge,) = answer.judges
    assert (judge.judge, judge.base, judge.round, judge.sampled_by) == ("j1", "r0", "o2", "o1")
    assert judge.seed == 5
    assert [ancestor.policy for ancestor in answer.generations] == ["r0", "i1", "o1", "i2", "i3"]
    judges = {a.policy: a.origin.judge for a in answer.generations if isinstance(a.origin, Round)}
    assert judges == {"i1": "exact", "o1": "exact", "i2": "j1", "i3": "j1"}

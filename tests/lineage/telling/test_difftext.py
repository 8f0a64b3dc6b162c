"""A difference of two policies in a terminal and on a page."""

import json
from pathlib import Path

import pytest

from fixtures.checkouts import ROOT, run, succeed
from lineage.answers.diff import Diff, diff
from lineage.data.contents import Rewards, RoundPair, UnknownRewards
from lineage.record.audit import open_audit
from lineage.telling.difftext import abridged, both, cut, page, reward_change, text
from tests.lineage import chain
from tests.lineage.chain import Page, printed


def compared(repository: Path, before: str, after: str) -> Diff:
    audit = open_audit(repository, None)
    return diff(audit, before, audit, after)


def test_the_same_policy_is_said_to_be_the_same(audited: Path) -> None:
    assert "the same weights, byte for byte" in printed(text(compared(audited, "s1", "s1")))


def test_a_policy_that_sat_no_exam(audited: Path) -> None:
    assert "exam: no exam of i1" in printed(text(compared(audited, "i1", "s1")))


def test_a_bare_clone_without_tables_says_so(audited: Path, tmp_path: Path) -> None:
    clone = tmp_path / "bare.git"
    succeed(["git", "clone", "--quiet", "--bare", str(audited), str(clone)], tmp_path)
    lines = " ".join(printed(text(compared(clone, "r0", "s1"))).split())
    assert "those that ran are unknown here for r0, s1" in lines
    assert "rollouts unknown: data/rounds/i1/rollouts.parquet" in lines


def test_exams_that_are_not_comparable_are_said_to_be(tmp_path: Path) -> None:
    steps = chain.chain(1)
    chain.write(tmp_path, steps)
    assert "paired difference unknown" in printed(text(compared(tmp_path, "r0", "n1")))
    steps["examine@n1"]["params"]["params.yaml"]["exam"] = {"seed": 8}
    chain.write(tmp_path, steps)
    assert "not the same one" in printed(text(compared(tmp_path, "r0", "n1")))


def test_the_page_stands_alone(audited: Path) -> None:
    content = page(compared(audited, "r0", "s1"))
    parsed = Page(content)
    assert not {"script", "link", "img", "iframe"} & {*parsed.tags}
    assert {target[1:] for target in parsed.targets} <= {*parsed.ids}
    sections = {"policies", "params", "code", "packages", "data", "rewards", "exam"}
    assert sections == {*parsed.ids}
    assert "default-src 'none'" in content


def test_thirty_rounds_fit_a_page(tmp_path: Path) -> None:
    steps = chain.chain(30)
    for number in range(1, 31):
        parent = f"m{number - 1}" if number > 1 else "r0"
        steps |= chain.round_of(f"m{number}", parent, 2 * number)
    chain.write(tmp_path, steps)
    lines = printed(text(compared(tmp_path, "n30", "m30"))).splitlines()
    assert max(map(len, lines)) <= 100
    assert any("n1, n2 … n30 (30) only for n30" in line for line in lines)


def rewards(mean: float | None) -> Rewards:
    return Rewards("a", "0" * 32, 4, mean, {"correct": 2})


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (rewards(0.25), rewards(0.75), 0.5),
        (rewards(0.25), None, None),
        (rewards(0.25), rewards(None), None),
        (UnknownRewards("a", "0" * 32, "bytes are nowhere"), rewards(0.5), None),
    ],
)
def test_a_change_of_rewards_needs_both(
    before: Rewards | UnknownRewards | None, after: Rewards | None, change: float | None
) -> None:
    assert reward_change(RoundPair(before, after)) == change


def test_names_and_values_are_cut_short() -> None:
    assert abridged(list("abcd")) == "a, b, c, d"
    assert abridged(list("abcde")) == "a, b … e (5)"
    assert (both("a", "a"), both("a", None), both(None, None)) == ("a", "a → –", "–")
    assert cut("x" * 41) == "x" * 39 + "…"
    assert cut("x" * 40) == "x" * 40


def test_the_command(audited: Path, tmp_path: Path) -> None:
    command = ["python", "-m", "lineage", "diff", "r0", "s1@HEAD", "--repo", str(audited)]
    done = run([*command, "--html", str(tmp_path / "d.html")], ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("r0 (commit ")
    assert (tmp_path / "d.html").read_text().startswith("<!DOCTYPE html>")
    assert json.loads(run([*command, "--json"], ROOT).stdout)["after"]["policy"] == "s1"

"""How far an edit of code reaches: bounds that hold today, and the figures of before."""

from collections.abc import Sequence

import pytest

from benchmarks.code.changes import CONTENT, Source
from benchmarks.code.moves import FILES, NAMES
from benchmarks.code.reach import (
    BEFORE,
    MANY_STEPS,
    MAX_FILES,
    ROLLOUT,
    Replay,
    heirs_of,
    homes,
    listings_before,
    listings_today,
    reach_of,
    replay_table,
    replayed,
    tally,
)
from fixtures.checkouts import run
from stages.code import ROOT
from stages.running.errors import BadInput

NUM_COMMITS = 46
MEAN_THEN, ROLLOUTS_THEN = 448 / NUM_COMMITS, 30
MAX_MEAN_NOW, MAX_ROLLOUTS_NOW = 8.5, 23  # what was reached; more is a step back
TODAY = {
    "stages/a.py": Source({"area": [], "main": []}),
    "stages/b.py": Source({"area": []}),
    "stages/step/__main__.py": Source({"main": []}),
    "stages/step/page.j2": Source({CONTENT: []}),
}


@pytest.fixture(scope="module")
def replays() -> Sequence[Replay]:
    has_history = run(["git", "cat-file", "-e", f"{BEFORE}^{{commit}}"], ROOT).returncode == 0
    is_shallow = run(["git", "rev-parse", "--is-shallow-repository"], ROOT).stdout == "true\n"
    if is_shallow or not has_history:
        pytest.skip(f"this clone has not all history up to {BEFORE[:7]}; git fetch --unshallow")
    return [*replayed(listings_before(), listings_today())]


def test_few_files_stand_in_the_listings_of_most_steps() -> None:
    reach = reach_of(listings_today())
    many = [file for file, count in reach.items() if count > MANY_STEPS]
    assert 0 < len(many) <= MAX_FILES, many


def test_every_commit_is_replayed(replays: Sequence[Replay]) -> None:
    assert len(replays) == NUM_COMMITS
    assert all(set(replay.files) for replay in replays)


def test_listings_of_then_make_stale_what_they_made(replays: Sequence[Replay]) -> None:
    assert tally([replay.then for replay in replays]) == (MEAN_THEN, ROLLOUTS_THEN)


def test_the_same_changes_would_make_less_stale_today(replays: Sequence[Replay]) -> None:
    mean, rollouts = tally([replay.now for replay in replays])
    assert mean <= MAX_MEAN_NOW
    assert rollouts <= MAX_ROLLOUTS_NOW


def test_code_that_moved_stands_where_the_table_says() -> None:
    paths = [path for places in FILES.values() for path in places]
    assert not [path for path in [*paths, *NAMES.values()] if not (ROOT / path).exists()]


def test_a_definition_counts_where_its_files_heirs_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = {"stages/step.py": ("stages/step/",), "stages/old": ("stages/step",)}
    monkeypatch.setattr("benchmarks.code.reach.FILES", moved)
    monkeypatch.setattr("benchmarks.code.reach.NAMES", {("stages/a.py", "gone"): "stages/b.py"})
    assert heirs_of("stages/a.py", TODAY) == {"stages/a.py"}
    assert heirs_of("stages/step.py", TODAY) == {"stages/step/__main__.py", "stages/step/page.j2"}
    assert heirs_of("stages/old/page.j2", TODAY) == {"stages/step/page.j2"}
    assert homes("stages/a.py", "area", TODAY) == {"stages/a.py"}
    assert homes("stages/a.py", "gone", TODAY) == {"stages/b.py"}
    assert homes("stages/step.py", "main", TODAY) == {"stages/step/__main__.py"}
    assert homes("stages/old/page.j2", CONTENT, TODAY) == {"stages/step/page.j2"}


def test_a_name_that_its_files_heirs_lack_counts_in_all_that_may_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.code.reach.FILES", {"stages/step.py": ("stages/step/",)})
    heirs = {"stages/step/__main__.py", "stages/step/page.j2"}
    assert homes("stages/step.py", "nowhere", TODAY) == heirs
    assert homes("stages/step.py", "area", TODAY) == heirs | {"stages/a.py", "stages/b.py"}
    with pytest.raises(BadInput, match=r"stages/lost\.py is gone"):
        homes("stages/lost.py", "area", TODAY)


def test_the_table_says_what_does_not_hold() -> None:
    listings = {ROLLOUT: frozenset("ab"), "score": frozenset("b"), "report": frozenset("c")}
    both, one = frozenset([ROLLOUT, "score"]), frozenset(["report"])
    replays = [
        Replay("1" * 40, "sampler", both, frozenset([ROLLOUT]), {"a": ["a: x"]}),
        Replay("2" * 40, "page", one, one, {"c": ["c: y"]}),
    ]
    text = replay_table(replays, {"a": 1, "b": 12, "c": 1}, listings)
    assert "1111111     2    1  then own  sampler" in text
    assert "1.5 then, 1.0 now, 33% of 3; rollout in 1 then, 1 now" in text
    assert "at most 5 steps list alone: 1.0 steps stale, rollout in 1" in text
    assert text.endswith("at most 33% and 10: holds")
    worse = [replay._replace(now=both) for replay in replays]
    assert replay_table(worse, {"a": 1, "b": 12, "c": 1}, listings).endswith("DOES NOT HOLD")

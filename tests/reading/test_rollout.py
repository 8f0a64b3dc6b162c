"""One rollout in full, by the small world's numbers."""

from pathlib import Path

import pytest

from fixtures.rows import row
from reading.database import Database
from reading.errors import NotThere
from reading.rollout import SAMPLED, read_rollout
from stages.contracts.origin import Origin
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.segments import SEGMENTS
from tests.reading.world import HOSTILE, write


def test_segments_have_what_they_gained_and_their_tokens(database: Database) -> None:
    rollout = read_rollout(database, "i1/p/0")
    assert [each.row["kind"] for each in rollout.segments] == ["attempt", "attempt", "answer"]
    assert [each.progress for each in rollout.segments] == [0.5, -0.25, None]
    assert rollout.gains == [0.5, -0.25]
    assert [each.text for each in rollout.segments[:2]] == ["two three", f"three {HOSTILE}"]
    assert [token.text for token in rollout.segments[0].tokens] == ["two", " three"]
    assert [token.logprob for token in rollout.segments[0].tokens] == [-1.0, -1.0]
    assert (rollout.row["verdict"], rollout.row["prompt"][:5]) == ("correct", "ask p")


def test_a_segment_has_the_advantages_of_its_tokens(database: Database) -> None:
    segments = read_rollout(database, "i1/p/0").segments
    learnt = [[(a["advantage"], a["is_stop"]) for a in each.advantages] for each in segments]
    assert learnt == [[(1.5, False)], [(None, False)], [(1.0, True), (1.0, False)]]


def test_boundaries_have_success_and_the_answers_likeliest_first(database: Database) -> None:
    rollout = read_rollout(database, "i1/p/0")
    assert rollout.successes == (0.5, 1.0, 0.75)
    assert [answer for answer, _ in rollout.boundaries[0].answers] == ["6", "5"]
    assert rollout.boundaries[2].answers == [("1", -1.0)]


def test_a_policy_fools_itself_where_verdicts_differ(database: Database) -> None:
    fooled = [each.is_fooled for each in read_rollout(database, "i1/p/0").segments]
    assert fooled == [False, True, False], "the second it calls correct; the verifier none"


def test_origins_are_those_that_steps_write() -> None:
    assert SAMPLED == Origin.SAMPLED


def test_a_given_token_has_no_log_probability(tmp_path: Path) -> None:
    write(tmp_path)
    folder = tmp_path / "rounds" / "n1"
    sampled = row(ROLLOUTS, rollout_id="n1/p/0", completion_tokens=[0, 4, 5], cue=range(1, 2))
    write_table(folder / "rollouts.parquet", ROLLOUTS, [sampled])
    cut = row(SEGMENTS, rollout_id="n1/p/0", end_token=3)
    write_table(folder / "segments.parquet", SEGMENTS, [cut])
    rollout = read_rollout(Database(tmp_path), "n1/p/0")
    assert [token.logprob for token in rollout.segments[0].tokens] == [-1.0, None, -1.0]
    assert (rollout.boundaries, rollout.gains) == ([], [])


def test_text_is_read_where_the_table_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "rounds" / "n1"
    sampled = row(ROLLOUTS, rollout_id="n1/p/0", policy_id="gone", completion_text="as stored")
    write_table(folder / "rollouts.parquet", ROLLOUTS, [sampled])
    cut = row(SEGMENTS, rollout_id="n1/p/0", end_token=4, text="as cut")
    write_table(folder / "segments.parquet", SEGMENTS, [cut])
    rollout = read_rollout(Database(tmp_path), "n1/p/0")
    assert (rollout.text, rollout.segments[0].text) == ("as stored", "as cut")
    assert rollout.segments[0].tokens == []


@pytest.mark.parametrize(
    ("rollout_id", "told"),
    [("i1/z/0", "rounds/i1 has no rollout i1/z/0"), ("i9/p/0", "no rounds/i9"), ("", "no rounds/")],
)
def test_one_that_is_not_there_is_named(rollout_id: str, told: str, database: Database) -> None:
    with pytest.raises(NotThere, match=told):
        read_rollout(database, rollout_id)

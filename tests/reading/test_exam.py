"""One sample of an exam: its thinking cut where answers were forced."""

import pytest

from reading.database import Database
from reading.errors import NotThere
from reading.exam import read_problem, read_sample
from tests.reading.world import HOSTILE


def test_thinking_is_cut_at_the_budgets(database: Database) -> None:
    sample = read_sample(database, "exams/i1", "p", 0.5, 0)
    assert [stretch.text for stretch in sample.stretches] == ["two three", HOSTILE]
    assert [stretch.answer["verdict"] for stretch in sample.stretches] == ["incorrect", "correct"]
    assert (sample.policy_id, sample.problem["problem_id"]) == ("i1", "p")


def test_what_is_not_there_is_named(database: Database) -> None:
    with pytest.raises(NotThere, match=r"exams/i1 has no sample 7 of p at 0\.5"):
        read_sample(database, "exams/i1", "p", 0.5, 7)
    with pytest.raises(NotThere, match="rounds/i1 has no table grades yet"):
        read_sample(database, "rounds/i1", "p", 0.5, 0)
    with pytest.raises(NotThere, match="no problem z"):
        read_problem(database, "z")

"""One problem in two sources."""

import pytest

from reading.beside import read_beside
from reading.database import Database
from reading.errors import NotThere


def test_exams_that_have_it_stand_side_by_side(database: Database) -> None:
    found = read_beside(database, "p")
    assert found.sources == ["rounds/i1", "exams/i1", "exams/r0"]
    assert [(side.source, side.policies) for side in found.sides] == [
        ("exams/i1", ["i1"]),
        ("exams/r0", ["r0"]),
    ]
    assert [row["budget_tokens"] for row in found.sides[0].rows] == [2, 8]


def test_a_reader_chooses_the_sources(database: Database) -> None:
    found = read_beside(database, "p", "exams/r0", "rounds/i1")
    assert [side.source for side in found.sides] == ["exams/r0", "rounds/i1"]
    assert [row["rollout_id"] for row in found.sides[1].rows] == ["i1/p/0", "i1/p/1"]
    only = read_beside(database, "q")
    assert [side.source for side in only.sides] == ["rounds/i1"]
    with pytest.raises(NotThere, match="no rounds/i9"):
        read_beside(database, "p", "rounds/i9")

"""What tells most, in the small world."""

from reading.database import Database
from reading.telling import TELLING
from reading.views import Plan


def found(database: Database, source: str) -> dict[str, list[tuple[object, ...]]]:
    views = {each.title: each.view(source, 10) for each in TELLING[source.partition("/")[0]]}
    return {
        title: [row[:2] for row in database.ask(Plan(view, database.source(source)).sql()).rows]
        for title, view in views.items()
    }


def test_gains_losses_and_wrong_verdicts_of_its_own(database: Database) -> None:
    assert found(database, "rounds/i1") == {
        "Where knowledge came": [("i1/p/0", 0), ("i1/p/1", 1)],
        "Where it was lost": [("i1/q/0", 0), ("i1/p/0", 1)],
        "Where the policy fooled itself": [("i1/p/0", 1), ("i1/q/0", 0)],
    }


def test_of_an_exam_too(database: Database) -> None:
    rows = found(database, "exams/i1")
    assert [len(each) for each in rows.values()] == [2, 1]

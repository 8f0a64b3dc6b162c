"""Which rows a view has, in which order; its SQL asked again gives them again."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reading.database import Database
from reading.errors import NotThere
from reading.sources import PROBLEMS
from reading.views import Plan, View
from tests.reading.world import HOSTILE, PROGRESS

ROUND = "rounds/i1"


def rows(database: Database, view: View) -> list[dict[str, Any]]:
    plan = Plan(view, database.source(view.source))
    found = database.ask(plan.sql(), view.parameters).records
    assert database.ask(plan.sql(), view.parameters).records == found
    if len(found) <= view.limit and view.page == 1:
        assert database.ask(plan.count_sql(), view.parameters).rows == [(len(found),)]
    return found


def ids(database: Database, **asked: Any) -> list[str]:
    return [row["rollout_id"] for row in rows(database, View(ROUND, **asked))]


def test_a_row_has_the_columns_of_every_table(database: Database) -> None:
    first = rows(database, View(ROUND))[0]
    assert first["rollout_id"] == "i1/p/0"
    assert (first["verdict"], first["status"], first["split"]) == ("correct", "trained", "train")
    assert first["completion_text"] == f"two three three {HOSTILE} answer six"
    assert first["answer"] == HOSTILE
    assert first["problems_answer"] == "7 + 5 12 12 * 3 36"
    assert "completion_tokens" not in first


def test_segments_are_sorted_by_what_they_gained(database: Database) -> None:
    flat = {(n, i): gain for n, both in PROGRESS.items() for i, gain in enumerate(both)}
    found = rows(database, View(ROUND, sort="-progress"))
    assert [(row["rollout_id"], row["segment_index"]) for row in found] == sorted(
        flat, key=lambda key: (-flat[key], key)
    )
    found = rows(database, View(ROUND, sort="progress", where="progress < 0"))
    assert [row["progress"] for row in found] == [-0.5, -0.25]
    assert found[0]["verdict"] == "unparsable"


def test_conditions_reach_over_tables(database: Database) -> None:
    assert ids(database, where="reward = 1 OR prompt LIKE 'ask q%'") == ["i1/p/0", "i1/q/0"]
    assert ids(database, where="verdict = 'correct' AND progress > 0") == ["i1/p/0"]
    assert ids(database, unit="segments", where="kind = 'answer'") == [*PROGRESS]


@pytest.mark.parametrize(
    ("search", "found"),
    [("THREE 50%", ["i1/p/1"]), ("%", ["i1/p/1"]), ("5_%", []), ("two", [*PROGRESS]), ("'", [])],
)
def test_text_is_searched_as_it_stands(search: str, found: list[str], database: Database) -> None:
    assert ids(database, search=search) == found


def test_advantages_are_sorted_too(database: Database) -> None:
    found = rows(database, View(ROUND, sort="-advantage"))
    assert [row["start_token"] for row in found] == [0, 4, 5]
    assert found[0]["verdict"] == "correct"
    clipped = rows(database, View(ROUND, where="clipped_frac > 0"))
    assert [row["segment_index"] for row in clipped] == [0]


def test_exams_are_views_too(database: Database) -> None:
    found = rows(database, View("exams/i1", sort="-used_tokens"))
    assert [(row["budget_tokens"], row["verdict"]) for row in found] == [
        (8, "correct"),
        (2, "incorrect"),
    ]
    assert found[0]["thinking_text"] == f"two three {HOSTILE}"


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=8
)
@given(limit=st.integers(1, 10), sort=st.sampled_from(["", "progress", "-progress"]))
def test_pages_have_every_row_once(limit: int, sort: str, database: Database) -> None:
    found = []
    for page in range(1, 20):
        view = View(ROUND, unit="segments", sort=sort, page=page, limit=limit)
        part = rows(database, view)
        found += [(row["rollout_id"], row["segment_index"]) for row in part[:limit]]
        if len(part) <= limit:
            break
    assert len(found) == len({*found}) == (6 if sort else 9)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"sort": "rewards"}, "rollouts have no column rewards; choose from rollout_id,"),
        (
            {"unit": "answers"},
            "rounds/i1 has no answers; choose from rollouts, segments, advantages",
        ),
        ({"where": "rewards = 1"}, "rewards"),
        ({"where": "reward = 1) --"}, "DuckDB refuses it"),
    ],
)
def test_what_is_not_there_is_named(asked: dict[str, str], told: str, database: Database) -> None:
    with pytest.raises(NotThere, match=r"DuckDB|choose") as refused:
        rows(database, View(ROUND, **asked))
    assert told in str(refused.value)


def test_a_round_half_way_is_read(tmp_path: Path, data: Path) -> None:
    """Before `score` has run there are rollouts alone."""
    (tmp_path / ROUND).mkdir(parents=True)
    (tmp_path / ROUND / "rollouts.parquet").symlink_to(data / ROUND / "rollouts.parquet")
    database = Database(tmp_path)
    found = rows(database, View(ROUND))
    assert [row["rollout_id"] for row in found] == [*PROGRESS]
    assert found[0]["completion_text"] is None, "no policy is here to read its tokens"
    assert PROBLEMS not in database.sources[ROUND].tables

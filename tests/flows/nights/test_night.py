"""A night's names, and its round in params.yaml."""

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect.server.schemas.schedules import CronSchedule

from fixtures.checkouts import succeed
from flows.nights import night, settings, worktree
from flows.nights.night import Night, NoDate
from flows.project import git
from flows.project.params_file import BadParams
from flows.project.paths import PARAMS
from tests.flows import toy_night

TONIGHT = Night(date(2026, 11, 4))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose stages have run, in git."""
    folder = toy_night.make_project(tmp_path_factory.mktemp("project"))
    succeed(["dvc", "repro", "--quiet"], folder, **toy_night.environment(folder))
    toy_night.save(folder)
    return folder


def test_all_names_follow_from_the_date() -> None:
    assert str(TONIGHT) == "2026-11-04"
    assert (TONIGHT.branch, TONIGHT.round) == ("nightly/2026-11-04", "n20261104")
    assert (TONIGHT.version, TONIGHT.file) == ("v2026.11.4", Path("data/nights/2026-11-04.json"))
    assert night.named("2026-11-04", "UTC") == TONIGHT


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "20261104T02"])
def test_what_is_not_a_date_is_refused(text: str) -> None:
    with pytest.raises(NoDate, match="is not a date; write it as 2026-11-25"):
        night.named(text, "UTC")


def test_without_a_date_it_is_the_day_in_the_schedules_time_zone() -> None:
    """Of the two at least one differs from UTC's day, whatever the hour."""
    for timezone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        before = datetime.now(ZoneInfo(timezone)).date()
        assert before <= night.named(None, timezone).date <= datetime.now(ZoneInfo(timezone)).date()


def test_nights_begin_on_branches_and_end_with_a_record(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy_night.copy(project, tmp_path / "copy"))
    later = Night(date(2026, 11, 5))
    assert (night.begun(), night.unfinished()) == ([], None)
    here = git.git("rev-parse", "HEAD")
    for each in (later, TONIGHT):
        worktree.check_out(each.branch, here)
        assert night.unfinished() == each == night.wanted(None, "UTC")
        assert night.wanted("2026-12-01", "UTC") == Night(date(2026, 12, 1))
    worktree.check_out("nightly/of-no-date", here)
    assert night.unfinished() is None
    worktree.check_out(TONIGHT.branch, here)
    end(TONIGHT)
    assert night.begun() == [TONIGHT, later]
    assert (night.record(TONIGHT), night.record(later)) == ({"verdict": "kept"}, None)
    assert night.unfinished() is None


def end(over: Night) -> str:
    """Commit the record of a night that is checked out in the worktree; the commit."""
    file = worktree.FOLDER / over.file
    file.parent.mkdir(exist_ok=True)
    file.write_text('{"verdict": "kept"}')
    git.git("add", str(over.file), folder=worktree.FOLDER)
    git.git("commit", "--quiet", "--message", "over", folder=worktree.FOLDER)
    return git.git("rev-parse", over.branch)


def test_a_night_begins_where_the_last_one_ended_or_at_what_a_person_has_done_since(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy_night.copy(project, tmp_path / "copy"))
    here, later = git.git("rev-parse", "HEAD"), Night(date(2026, 11, 5))
    wanted = settings.load()
    assert night.planned(wanted, TONIGHT)[1:] == (TONIGHT, here)
    worktree.check_out(TONIGHT.branch, here)
    assert night.planned(wanted, later).base == here  # tonight is not over
    resumed = night.planned(wanted, TONIGHT)
    assert (resumed.base, resumed.is_resumed) == (TONIGHT.branch, True)
    ended = end(TONIGHT)
    assert night.planned(wanted, later).base == ended
    git.git("commit", "--quiet", "--allow-empty", "--message", "a person goes on")
    here = git.git("rev-parse", "HEAD")
    assert night.planned(wanted, later).base == here
    git.git("merge", "--quiet", "--no-edit", TONIGHT.branch)
    assert night.planned(wanted, later).base == git.git("rev-parse", "HEAD")


def test_the_round_trains_on_from_the_champion_and_both_are_examined(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    plan = night.planned(settings.load(), TONIGHT)
    assert not plan.is_resumed
    text = PARAMS.read_text()
    new = yaml.safe_load(night.with_night(text, plan))
    old = yaml.safe_load(text)
    last_seed = max(entry["seed"] for entry in old["rounds"].values())
    assert new["rounds"] == {
        **old["rounds"],
        "n20261104": {
            "parent": "s1",
            "reference": old["rounds"]["s1"]["reference"],
            "recipe": "sampled",
            "judge": "exact",
            "seed": last_seed + 1,
        },
    }
    assert new["exams"] == {**old["exams"], "n20261104": {"judge": "exact"}}
    assert night.with_night(night.with_night(text, plan), plan) == night.with_night(text, plan)
    unknown = plan.settings.model_copy(update={"recipe": "none"})
    with pytest.raises(
        BadParams, match=r"no recipe none; choose from \['information', 'sampled'\]"
    ):
        night.with_night(text, plan._replace(settings=unknown))


def test_a_record_says_nothing_of_where_the_checkout_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert night.portable(f"error: {tmp_path}/data is bad") == "error: data is bad"


@pytest.mark.parametrize(
    ("cron", "timezone", "starts", "dates"),
    [
        # The clock is put forward at midnight, so that of the 8th does not exist.
        ("0 0 * * *", "America/Havana", datetime(2026, 3, 7, 4, tzinfo=UTC), [7, 8, 9]),
        ("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 27, 4, tzinfo=UTC), [28, 29, 30]),
        ("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 23, 4, tzinfo=UTC), [24, 25, 26]),
        ("30 22 * * *", "Asia/Tokyo", datetime(2026, 5, 1, 20, tzinfo=UTC), [2, 3, 4]),
    ],
)
def test_every_date_has_the_night_that_prefect_starts_for_it(
    cron: str, timezone: str, starts: datetime, dates: list[int]
) -> None:
    schedule = settings.Schedule(cron=cron, timezone=timezone)
    prefects = CronSchedule(cron=cron, timezone=timezone)
    times = asyncio.run(prefects.get_dates(n=3, start=starts))
    assert [night.due(time, schedule).date.day for time in times] == dates

"""nightly.yaml, read and refused."""

from pathlib import Path

import pytest
from prefect.server.schemas.schedules import CronSchedule
from pydantic import ValidationError

from fixtures.checkouts import ROOT
from flows.nights import settings
from tests.flows import toy_night


def test_wrong_settings_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        settings.SettingsError, match=r"nightly.yaml is missing; run from the repository's root"
    ):
        settings.load()
    text = (ROOT / "nightly.yaml").read_text()
    for old, new, said in (
        (
            "max_regression: 0.02",
            "max_regression: 2",
            r"1 wrong value\(s\), first max_regression: .*less than",
        ),
        (
            'cron: "0 2 * * *"',
            'cron: "nightly"',
            r"first schedule.cron: .*'nightly' is not a cron expression",
        ),
        ("timezone: UTC", "timezone: Mars", "first schedule.timezone: .*'Mars' is not a time zone"),
        ("judge: exact", "judges: exact", r"2 wrong value\(s\), first judge: Field required"),
        (
            "used_tokens_ratio: [0.5, 2.0]",
            "used_tokens_ratio: [2, 1]",
            "the lower limit 2.0 is above the upper one 1",
        ),
        ("judge: exact", "judge: [", "nightly.yaml: .*line"),
    ):
        assert text.count(old) == 1
        Path("nightly.yaml").write_text(text.replace(old, new))
        with pytest.raises(settings.SettingsError, match=said):
            settings.load()


def test_the_toys_settings_are_the_projects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy_night.make_project(tmp_path))
    assert settings.load().recipe == "sampled"


@pytest.mark.parametrize(
    "cron",
    [
        *("0 0 2 * * *", "0 2 LW * *", "0 2 L * *", "0 2 1W * *", "0 2 * * 5L", "0 2 * * 5#2"),
        *("@daily", "R 2 * * *", "0 2 ? * *", "60 2 * * *", "0 2 30 2 *", "mon 2 * * *", "0 2 * *"),
    ],
)
def test_what_prefect_reads_otherwise_or_not_at_all_is_no_schedule(cron: str) -> None:
    with pytest.raises(ValidationError, match="is not a cron expression"):
        settings.Schedule(cron=cron, timezone="UTC")


@pytest.mark.parametrize("timezone", ["localtime", "Factory", "posixrules", "europe/berlin", ""])
def test_what_prefect_does_not_know_is_no_time_zone(timezone: str) -> None:
    with pytest.raises(ValidationError, match="is not a time zone"):
        settings.Schedule(cron="0 2 * * *", timezone=timezone)


@pytest.mark.parametrize(
    "cron", ["0 2 * * *", "*/15 2 1-5,7 * 0-7", "0 2 * JAN mon-fri", "30 2 29 2 *", "0 2 * * 7"]
)
def test_what_is_a_schedule_is_one_to_prefect(cron: str) -> None:
    taken = settings.Schedule(cron=cron, timezone="Europe/Berlin")
    assert CronSchedule(cron=taken.cron, timezone=taken.timezone).cron == cron

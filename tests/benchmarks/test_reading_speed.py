"""The made-up round is one that can be read, and a view's seconds are its own."""

from pathlib import Path

import pytest

from benchmarks import reading_speed
from reading.database import Database
from reading.views import Plan, View


def test_a_round_is_made_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_speed, "REPEATS", 1)
    reading_speed.main(tmp_path, num_rollouts=200)
    database = Database(tmp_path / "data")
    source = database.source(reading_speed.SOURCE)
    counts = {
        unit: database.ask(Plan(View(source.name, unit=unit), source).count_sql()).rows[0][0]
        for unit in ("rollouts", "segments")
    }
    assert counts == {"rollouts": 200, "segments": 800}
    (seconds,) = reading_speed.timed(tmp_path, reading_speed.VIEWS["largest gain"])
    assert min(seconds) > 0

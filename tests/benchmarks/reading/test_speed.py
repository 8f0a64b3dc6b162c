"""The made-up round is one that can be read, and a view's seconds are its own."""

from pathlib import Path

import pytest

from benchmarks.reading import speed
from reading.database import Database
from reading.views import Plan, View


def test_a_round_is_made_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "REPEATS", 1)
    speed.main(tmp_path, num_rollouts=200)
    database = Database(tmp_path / "data")
    source = database.source(speed.SOURCE)
    counts = {
        unit: database.ask(Plan(View(source.name, unit=unit), source).count_sql()).rows[0][0]
        for unit in ("rollouts", "segments")
    }
    assert counts == {"rollouts": 200, "segments": 800}
    (seconds,) = speed.timed(tmp_path, speed.VIEWS["largest gain"])
    assert min(seconds) > 0

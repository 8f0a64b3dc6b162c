"""Facts of a run: seconds by phase, counts, and what ran, beside the output and not in it."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from stages.running.publish import RunFacts, one_of_many


def test_facts_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = RunFacts("score")
    with facts.phase("judging"):
        time.sleep(0.02)
    with facts.phase("writing"):
        pass
    with facts.phase("judging"):
        time.sleep(0.02)
    facts.count(num_rollouts=8)
    facts.count(num_segments=20)
    facts.write(tmp_path / "scores.parquet")

    [file] = tmp_path.iterdir()
    assert file.name == "scores.run.json"
    written = json.loads(file.read_text())
    seconds = written["seconds"]
    assert seconds.keys() == {"total", "startup", "judging", "writing"}
    assert seconds["judging"] >= 0.04
    assert seconds["startup"] + seconds["judging"] + seconds["writing"] <= seconds["total"]
    assert written["ended_at"] - written["started_at"] == pytest.approx(seconds["total"])
    assert (written["stage"], written["counts"]) == (
        "score",
        {"num_rollouts": 8, "num_segments": 20},
    )
    assert written["peak_memory_bytes"] > 2**20
    assert written["packages"]["numpy"] == np.__version__
    said = capsys.readouterr().err
    assert said.startswith('score: {"num_rollouts": 8, "num_segments": 20} in ')
    assert said.count("\n") == 1


def test_a_phase_that_fails_is_not_counted() -> None:
    facts = RunFacts("score")
    with pytest.raises(KeyError), facts.phase("judging"):
        raise KeyError
    assert facts._seconds.keys() == {"startup"}


def test_a_step_among_others_begins_when_its_turn_comes(tmp_path: Path) -> None:
    before = time.time()
    with one_of_many():
        facts = RunFacts("score")
        with facts.phase("judging"):
            time.sleep(0.02)
    facts.write(tmp_path / "scores.parquet")
    written = json.loads((tmp_path / "scores.run.json").read_text())
    assert written["started_at"] > before - 0.01


def test_seconds_are_those_of_no_clock_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, wall = RunFacts("score"), time.time()
    monkeypatch.setattr(time, "time", lambda: wall - 10 * 86400)
    with facts.phase("judging"):
        pass
    facts.write(tmp_path / "scores.parquet")
    written = json.loads((tmp_path / "scores.run.json").read_text())
    assert all(0 <= seconds < 86400 for seconds in written["seconds"].values())
    assert written["ended_at"] == wall - 10 * 86400

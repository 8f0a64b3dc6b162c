"""The stages run on a made-up round and exam, and a longer round is made of a shorter one."""

import json
from pathlib import Path

import pytest

from benchmarks.table_memory import STAGES, arguments, main
from fixtures.checkouts import ROOT
from stages.contracts.storage.reading import count_rows
from stages.contracts.tables.scores import SCORES


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_every_stage_runs_and_is_measured(tmp_path: Path) -> None:
    short, long = tmp_path / "short", tmp_path / "long"
    main(short, num_rollouts=400, out=tmp_path / "peaks.json")
    peaks = json.loads((tmp_path / "peaks.json").read_text())
    assert [peak["stage"] for peak in peaks] == list(STAGES)
    assert all(peak["mebibytes"] > 50 and peak["processor_seconds"] > 0 for peak in peaks)
    main(long, num_rollouts=800, stages=(), repeated=short)
    assert count_rows(long / "scores.parquet", SCORES) == 800


def test_paths_of_a_stage_lie_in_the_folder() -> None:
    words = list(arguments("score", Path("f")))
    assert words[:4] == ["--round-id", "i1", "--problems", "f/problems.parquet"]
    assert words[words.index("--tokenizer") + 1] == "f/policy/tokenizer.json"
    assert words[words.index("--judge") + 1] == "f/judge"
    assert words[-2:] == ["--params-file", "f/params.yaml"]

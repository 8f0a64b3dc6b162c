"""What the tab key offers: names of params.yaml and dvc.yaml, and nothing where there are none."""

import shutil
from pathlib import Path

import pytest

from fixtures.checkouts import ROOT
from flows.project import names


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_names_are_those_of_the_file(here: Path) -> None:
    assert names.rounds("i") == ["i1", "i2", "i3"]
    assert names.policies("r") == ["r0"]
    assert names.recipes("") == ["information", "outcome"]
    assert names.judges("") == ["exact"]
    assert names.stages("update@i") == ["update@i1", "update@i2", "update@i3"]
    assert names.stages("prep") == ["prepare"]
    (here / "data/rounds/i1/gains.parquet").mkdir(parents=True)
    assert names.tables("data/r") == ["data/rounds/i1/gains.parquet"]


@pytest.mark.parametrize("text", [None, "rounds: [", "- 1", "rounds:"])
def test_nothing_is_offered_where_there_is_nothing(here: Path, text: str | None) -> None:
    (here / "params.yaml").unlink()
    if text is not None:
        (here / "params.yaml").write_text(text)
    assert names.rounds("") == []
    assert "update" in names.stages("")

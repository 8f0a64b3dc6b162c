"""What a watcher outside sees of a running stage."""

import json
from pathlib import Path

import pytest

from stages.running import progress
from stages.running.progress import PROGRESS_FILE, ProgressBar


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "progress.json"
    monkeypatch.setenv(PROGRESS_FILE, str(path))
    return path


def read(file: Path) -> dict[str, object]:
    return json.loads(file.read_text())


def test_the_last_word_is_written_at_the_end(file: Path) -> None:
    with ProgressBar("rollout i1", total=10, unit="rollout", done=4) as bar:
        bar.add(3)
        bar.tokens(500)
        bar.add(3)
    facts = read(file)
    assert facts.pop("rate") > 0
    assert facts == {"stage": "rollout i1", "done": 10, "total": 10}
    assert [path.name for path in file.parent.iterdir()] == ["progress.json"]


def test_it_is_written_on_the_way(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PERIOD_SECONDS", 0.0)
    with ProgressBar("probe", total=10, unit="tok") as bar:
        seen = []
        for _ in range(3):
            bar.add(2)
            seen.append(read(file)["done"])
    assert seen == [2, 4, 6]


def test_tokens_are_counted_apart_from_units(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    bar = ProgressBar("update", total=8, unit="rollout")
    monkeypatch.setattr(progress.time, "monotonic", lambda: 104.0)
    with bar:
        bar.tokens(200)
    assert read(file)["rate"] == 50.0
    assert read(file)["done"] == 0


def test_a_failure_leaves_the_state_it_came_to(file: Path) -> None:
    def work() -> None:
        with ProgressBar("score", total=5, unit="rollout") as bar:
            bar.add(2)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert read(file)["done"] == 2


def test_without_the_variable_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PROGRESS_FILE, raising=False)
    monkeypatch.chdir(tmp_path)
    with ProgressBar("score", total=1, unit="rollout") as bar:
        bar.add(1)
    assert list(tmp_path.iterdir()) == []

"""A small table, and parts so small that few rows make several."""

from pathlib import Path

import pytest

from stages.contracts.storage import writing
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.segments import SEGMENTS
from tests.contracts.storage.drawn import segment


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A table of three segments."""
    path = tmp_path / "segments.parquet"
    write_table(path, SEGMENTS, [segment("a", 0), segment("a", 1), segment("b", 0)])
    return path


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of at most three rows, or about 200 bytes."""
    monkeypatch.setattr(writing, "PART_ROWS", 3)
    monkeypatch.setattr(writing, "PART_BYTES", 200)

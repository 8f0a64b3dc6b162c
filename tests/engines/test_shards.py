"""Work in shards: what is kept is not done again; what is done comes with what it was made of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stages.engines import shards
from stages.engines.pools.here import OneEngine

WORK = [*range(10, 17)]


def add(model: int, part: list[int], *, on_tokens: Callable[[int], None]) -> list[int]:
    return [model + number for number in part]


def do(kept: dict[Path, list[int]], seen: list[list[int]]) -> None:
    """Add 100 to twice each item and keep the sums in files; `seen` gets each shard's items."""
    for shard, items, sums in shards.missing(
        kept, OneEngine(100), add, lambda item: 2 * item, "test", "item"
    ):
        shard.mkdir()
        (shard / "sums").write_text(" ".join(map(str, sums)))
        seen.append(items)


def test_shards_are_of_one_size_but_the_last(tmp_path: Path) -> None:
    assert shards.cut(WORK, 3, tmp_path) == {
        tmp_path / "000000000": [10, 11, 12],
        tmp_path / "000000003": [13, 14, 15],
        tmp_path / "000000006": [16],
    }


def test_no_work_has_no_shards(tmp_path: Path) -> None:
    assert shards.cut([], 3, tmp_path) == {}
    assert list(shards.missing({}, OneEngine(0), add, abs, "test", "item")) == []


def test_what_is_kept_is_not_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, seen = shards.cut(WORK, 3, tmp_path), []
    first, second, third = kept
    second.mkdir()
    do(kept, seen)
    assert seen == [[10, 11, 12], [16]]
    assert [(shard / "sums").read_text() for shard in (first, third)] == ["120 122 124", "132"]
    assert "3.00/7.00" in capsys.readouterr().err
    do(kept, seen)
    assert len(seen) == 2

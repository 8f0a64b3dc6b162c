"""Work in shards: what is kept is not done again; what is done comes with what it was made of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stages.contracts.storage.contract import INT, column, define
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.engines import shards
from stages.engines.pools.here import OneEngine

WORK = [*range(10, 17)]
SUMS = define("sums", "one sum", ["sum"], column("sum", INT, "a sum"))


def add(model: int, part: list[int], *, on_tokens: Callable[[int], None]) -> list[int]:
    return [model + number for number in part]


def do(kept: dict[Path, list[int]], seen: list[list[int]]) -> None:
    """Add 100 to twice each item and keep the sums in tables; `seen` gets each shard's items."""
    for shard, items, sums in shards.missing(
        kept, OneEngine(100), add, lambda item: 2 * item, "test", "item", {"sums": SUMS}
    ):
        write_table(shard / "sums", SUMS, [{"sum": each} for each in sums])
        seen.append(items)


def sums_of(shard: Path) -> list[int]:
    return read_table(shard / "sums", SUMS)["sum"].to_pylist()


def test_shards_are_of_one_size_but_the_last(tmp_path: Path) -> None:
    assert shards.cut(WORK, 3, tmp_path) == {
        tmp_path / "000000000": [10, 11, 12],
        tmp_path / "000000003": [13, 14, 15],
        tmp_path / "000000006": [16],
    }


def test_no_work_has_no_shards(tmp_path: Path) -> None:
    assert shards.cut([], 3, tmp_path) == {}
    assert list(shards.missing({}, OneEngine(0), add, abs, "test", "item", {})) == []


def test_what_is_kept_is_not_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, seen = shards.cut(WORK, 3, tmp_path), []
    _, second, _ = kept
    write_table(second / "sums", SUMS, [{"sum": 7}])
    do(kept, seen)
    assert seen == [[10, 11, 12], [16]]
    assert [sums_of(shard) for shard in kept] == [[120, 122, 124], [7], [132]]
    assert "3.00/7.00" in capsys.readouterr().err
    do(kept, seen)
    assert len(seen) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda part: part.write_bytes(b""),
        lambda part: part.write_bytes(part.read_bytes()[: part.stat().st_size // 2]),
        lambda part: part.write_bytes(bytes(part.stat().st_size)),
        lambda part: part.write_bytes(part.read_bytes().replace(b"PAR1", b"PAR0")),
        lambda part: part.unlink(),
        lambda part: (part.unlink(), part.parent.rmdir()),
    ],
    ids=["emptied", "halved", "zeroed", "flipped", "lost", "all lost"],
)
def test_what_is_kept_and_cannot_be_read_is_done_again(
    spoil: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, seen = shards.cut(WORK, 3, tmp_path), []
    do(kept, seen)
    sound = [sums_of(shard) for shard in kept]
    _, second, _ = kept
    spoil(next((second / "sums").iterdir()))
    capsys.readouterr()
    do(kept, seen)
    assert seen[3:] == [[13, 14, 15]]
    assert [sums_of(shard) for shard in kept] == sound
    told = [line for line in capsys.readouterr().err.splitlines() if "unfinished work" in line]
    assert len(told) == 1
    assert str(second) in told[0]

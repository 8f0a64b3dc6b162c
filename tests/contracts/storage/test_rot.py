"""Bits that rot, parts that are cut and machines in want: each is told, none read as other rows."""

import errno
import os
import random
import resource
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixtures.rows import row
from stages.contracts.storage.contract import Table
from stages.contracts.storage.reading import read_batches, read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.running.errors import BadInput

NUM_FLIPS = 60
REMEDY = r"is corrupt .*; delete it, then run `knowhow cache verify` and `dvc repro`"


def written(folder: Path, table: Table) -> Path:
    """A table of fifty rows, and its only part."""
    path = folder / f"{table.name}.parquet"
    if table is ROLLOUTS:
        keys = [{"problem_id": f"p{index:03d}"} for index in range(50)]
    else:
        keys = [{"rollout_id": f"i1/p{index:03d}/0"} for index in range(50)]
    write_table(path, table, [row(table, **key) for key in keys])
    [part] = path.iterdir()
    return part


@pytest.mark.parametrize(
    "table", [ROLLOUTS, PROBES, GAINS, SCORES, SEGMENTS], ids=lambda table: table.name
)
def test_a_bit_that_flips_is_told_or_changes_nothing(table: Table, tmp_path: Path) -> None:
    part = written(tmp_path, table)
    sound, whole = part.read_bytes(), read_table(part.parent, table)
    rng, num_refused = random.Random(table.name), 0
    for _ in range(NUM_FLIPS):
        bit, spoilt = rng.randrange(8 * len(sound)), bytearray(sound)
        spoilt[bit // 8] ^= 1 << bit % 8
        part.write_bytes(spoilt)
        try:
            assert read_table(part.parent, table).equals(whole), bit
        except (BadInput, MemoryError):
            num_refused += 1
    assert num_refused > NUM_FLIPS // 3


def test_a_part_from_before_checksums_is_read(tmp_path: Path) -> None:
    part = written(tmp_path, SCORES)
    whole = read_table(part.parent, SCORES)
    pq.write_table(pq.read_table(part), part, compression="zstd")
    assert read_table(part.parent, SCORES).equals(whole)


@pytest.mark.parametrize(
    "spoil",
    [lambda _: b"", lambda whole: whole[: len(whole) // 2], lambda whole: bytes(len(whole))],
    ids=["emptied", "halved", "zeroed"],
)
def test_what_is_cut_is_corrupt(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    part = written(tmp_path, SCORES)
    part.write_bytes(spoil(part.read_bytes()))
    with pytest.raises(BadInput, match=REMEDY):
        read_table(part.parent, SCORES)
    with pytest.raises(BadInput, match=REMEDY):
        list(read_batches(part.parent, SCORES))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        pa.ArrowMemoryError("malloc of size 64 failed"),
        OSError("Unknown error: Failed to launch worker thread: Resource temporarily unavailable"),
        OSError(errno.EIO, os.strerror(errno.EIO)),
        PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
    ],
    ids=["memory", "arrow", "threads", "disk", "permission"],
)
def test_what_the_machine_lacks_is_no_corruption(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = written(tmp_path, SCORES)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(pq, "ParquetFile", fail)
    with pytest.raises(type(error)):
        read_table(part.parent, SCORES)


def test_too_many_open_files_are_no_corruption(tmp_path: Path) -> None:
    part = written(tmp_path, SCORES)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    try:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, limits[1])
        )
        with pytest.raises(OSError, match="Too many open files") as full:  # noqa: PT012
            while True:
                held.append(os.open(part, os.O_RDONLY))
        with pytest.raises(OSError, match="Too many open files"):
            read_table(part.parent, SCORES)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert full.value.errno == errno.EMFILE

"""Work cut into shards, each kept when it is done.

A killed run goes on after its last whole shard, to the same bytes. What the next keeper finds of a
shard is a folder, whole or not there, for the caller publishes it atomically.
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from stages.contracts.storage.contract import Table
from stages.contracts.storage.reading import read_batches
from stages.engines.pools.pool import Model, Pool, Result, WorkFunction
from stages.running.errors import BadInput
from stages.running.progress import ProgressBar

Item = TypeVar("Item")
Request = TypeVar("Request")


def cut(work: Sequence[Item], num_items: int, folder: Path) -> dict[Path, Sequence[Item]]:
    """Shards of `num_items`, the last of what is left, by where in `folder` each is to be kept."""
    return {
        folder / f"{start:09d}": work[start : start + num_items]
        for start in range(0, len(work), num_items)
    }


def missing(
    shards: Mapping[Path, Sequence[Item]],
    pool: Pool[Model],
    do: WorkFunction[Model, list[Request], Result],
    request: Callable[[Item], Request],
    stage: str,
    unit: str,
    tables: Mapping[str, Table],
) -> Iterator[tuple[Path, Sequence[Item], Result]]:
    """Do the shards that are not kept yet, under a progress bar.

    A shard keeps `tables`, each in the folder of that name in its own. One that cannot be read, as
    after a power cut, is told of, dropped and done again: it was only a saving.

    Yields:
        The folder of a shard, to be kept before the next is asked for; its items; what came of
        them.
    """
    left = [folder for folder in shards if not _is_kept(folder, tables)]
    requests = ([request(item) for item in shards[folder]] for folder in left)
    total, num_left = (sum(len(shards[folder]) for folder in folders) for folders in (shards, left))
    with ProgressBar(stage, total, unit, done=total - num_left) as progress:
        for place, results in pool.each(do, requests, progress.tokens):
            items = shards[left[place]]
            yield left[place], items, results
            progress.add(len(items))


def _is_kept(folder: Path, tables: Mapping[str, Table]) -> bool:
    """Whether a shard is there and can be read; it is not there any more where it cannot."""
    if not folder.is_dir():
        return False
    try:
        for name, table in tables.items():
            for _ in read_batches(folder / name, table):
                pass
    except BadInput:
        print(f"unfinished work {folder} cannot be read; it is done again", file=sys.stderr)
        shutil.rmtree(folder)
        return False
    return True

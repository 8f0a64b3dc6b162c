"""Random problems, each at most once, until the train and the held-out split are full."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import islice

from stages.running.errors import BadInput
from stages.tasks.task import Problem

NUM_BUCKETS = 10
NUM_RESERVED = 2
"""Buckets never trained on: one to examine with, one to tune with before that."""
DRAWS_PER_PROBLEM = 1000


def split_of(canonical: str, heldout_bucket: int) -> str | None:
    """The split of a problem by its canonical name alone, whatever else is drawn.

    None for a reserved tenth not asked.

    A tenth of all problems is held out, another tenth kept out of everything, and which is which is
    `heldout_bucket`: settings chosen on the one are examined on the other, and trained on the same
    rest.
    """
    bucket = zlib.crc32(canonical.encode()) % NUM_BUCKETS
    if bucket >= NUM_RESERVED:
        return "train"
    return "heldout" if bucket == heldout_bucket else None


def fill_splits(
    draws: Iterable[Problem | None], num_train: int, num_heldout: int, kind: str
) -> Iterator[Problem]:
    """The distinct problems among endless `draws` of one `kind`.

    A draw that came to nothing is None.

    Raises:
        BadInput: too many draws bring nothing that is still missing.
    """
    wanted = {"train": num_train, "heldout": num_heldout}
    seen: set[str] = set()
    for problem in islice(draws, DRAWS_PER_PROBLEM * (num_train + num_heldout + 1)):
        if problem and problem.problem_id not in seen and wanted[problem.split]:
            seen.add(problem.problem_id)
            wanted[problem.split] -= 1
            yield problem
            if not any(wanted.values()):
                return
    raise BadInput(
        f"params.yaml task.tiers: no more distinct problems {kind}; still missing "
        f"{wanted['train']} train and {wanted['heldout']} heldout; ask for fewer or let numbers be "
        "larger"
    )

"""Random problems, each at most once, until the train and the held-out split are full."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import islice

from stages.contracts.errors import BadInput
from stages.tasks.task import Problem

HELDOUT_BUCKETS = 10
DRAWS_PER_PROBLEM = 1000


def split_of(canonical: str) -> str:
    """The split of a problem by its canonical name alone, whatever else is drawn: a tenth of all is held out."""
    return "heldout" if zlib.crc32(canonical.encode()) % HELDOUT_BUCKETS == 0 else "train"


def fill_splits(draws: Iterable[Problem | None], num_train: int, num_heldout: int, kind: str) -> Iterator[Problem]:
    """The distinct problems among endless `draws` of one `kind`; a draw that came to nothing is None.

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
        f"params.yaml task.tiers: no more distinct problems {kind}; still missing {wanted['train']} train and "
        f"{wanted['heldout']} heldout; ask for fewer or let numbers be larger"
    )

"""Random problems, each at most once, until every split is full."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol

from stages.running.errors import BadInput
from stages.tasks.task import Problem

NUM_BUCKETS = 10
NUM_UNTRAINED = 2
"""Buckets never trained on: one to examine with, one to choose on before that."""
RESERVED = "reserved"
DRAWS_PER_PROBLEM = 1000


class Sized(Protocol):
    """A tier of any task: how many problems of each split it asks for."""

    @property
    def num_train(self) -> int:
        """Problems to learn on."""

    @property
    def num_heldout(self) -> int:
        """Problems to be examined on."""

    @property
    def num_reserved(self) -> int:
        """Problems to choose a temperature on."""


def split_of(canonical: str, heldout_bucket: int) -> str:
    """The split of a problem by its canonical name alone, whatever else is drawn.

    A tenth of all problems is held out, another tenth reserved, and which is which is
    `heldout_bucket`: what is chosen on the one is examined on the other, and trained on the same
    rest.
    """
    bucket = zlib.crc32(canonical.encode()) % NUM_BUCKETS
    if bucket >= NUM_UNTRAINED:
        return "train"
    return "heldout" if bucket == heldout_bucket else RESERVED


def sizes(tier: Sized) -> dict[str, int]:
    """How many problems of each split a tier asks for."""
    return {"train": tier.num_train, "heldout": tier.num_heldout, RESERVED: tier.num_reserved}


def counts_text(missing: Mapping[str, int]) -> str:
    """Numbers of problems by split, in words."""
    *names, last = [f"{number} {split}" for split, number in missing.items()]
    return f"{', '.join(names)} and {last}"


def fill_splits(
    draws: Iterable[Problem | None], wanted: Mapping[str, int], kind: str
) -> Iterator[Problem]:
    """The distinct problems among endless `draws` of one `kind`, as many as `wanted` by split.

    A draw that came to nothing is None.

    Raises:
        BadInput: too many draws bring nothing that is still missing.
    """
    missing = dict(wanted)
    seen: set[str] = set()
    for problem in islice(draws, DRAWS_PER_PROBLEM * (sum(wanted.values()) + 1)):
        if problem and problem.problem_id not in seen and missing[problem.split]:
            seen.add(problem.problem_id)
            missing[problem.split] -= 1
            yield problem
            if not any(missing.values()):
                return
    raise BadInput(
        f"params.yaml task.tiers: no more distinct problems {kind}; still missing "
        f"{counts_text(missing)}; ask for fewer or let numbers be larger"
    )

"""How long a page of `knowhow read` takes on a round of any length, on made-up tables.

Reads   nothing.
Writes  under --folder the tables of a round, unless they are there. Prints seconds of each view.
Method  A rollout has `NUM_SEGMENTS` segments, with progress drawn at random. A view is asked for
        as the page asks for it, its rows and their count, `REPEATS` times, each of which opens
        the tables anew. Printed are the median and the slowest by the clock, and the median of
        processor seconds, which a busy machine leaves alone.

Example: python -m benchmarks.reading.speed --folder reading --num-rollouts 1_000_000
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

from benchmarks import measuring
from benchmarks.long_round import as_table, taken
from fixtures.rows import row
from reading.database import Database
from reading.views import Plan, View
from stages.contracts.storage.contract import Table
from stages.contracts.storage.writing import table_writer
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.ledger import LEDGER
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.running.errors import command

ROUND, SOURCE, GROUP_SIZE, NUM_SEGMENTS, NUM_TOKENS = "i1", "rounds/i1", 100, 4, 80
BATCH_PROBLEMS, REPEATS = 100, 5
VIEWS = {
    "first page": View(SOURCE),
    "page 1,000": View(SOURCE, page=1000),
    "largest gain": View(SOURCE, unit="segments", sort="-progress"),
    "most negative gain": View(SOURCE, unit="segments", sort="progress"),
    "by reward": View(SOURCE, sort="-reward"),
    "one verdict": View(SOURCE, where="verdict = 'unparsable'"),
}


def main(folder: Path, num_rollouts: int = 1_000_000) -> None:
    """Make the tables and ask for each view."""
    make(folder / "data" / "rounds" / ROUND, num_rollouts // GROUP_SIZE)
    lines = []
    for name, view in VIEWS.items():
        clock, processor = zip(*timed(folder, view), strict=True)
        seconds = (median(clock), max(clock), median(processor))
        lines.append([name, *(f"{value:.2f}" for value in seconds)])
    print(measuring.table(("view", "median s", "slowest s", "processor s"), lines))


def timed(folder: Path, view: View) -> Iterator[tuple[float, float]]:
    """Seconds of each repeat by the clock and of processors, opening the tables anew each time."""
    for _ in range(REPEATS):
        start, busy = time.perf_counter(), time.process_time()
        database = Database(folder / "data")
        plan = Plan(view, database.source(view.source))
        database.ask(plan.sql(), view.parameters)
        database.ask(plan.count_sql(), view.parameters)
        yield time.perf_counter() - start, time.process_time() - busy


def make(folder: Path, num_problems: int) -> None:
    """Write the tables of a round, some problems at a time."""
    if folder.exists():
        return
    tables = (ROLLOUTS, SCORES, SEGMENTS, GAINS, LEDGER)
    with ExitStack() as stack:
        writers = {
            table.name: stack.enter_context(table_writer(folder / f"{table.name}.parquet", table))
            for table in tables
        }
        for start in range(0, num_problems, BATCH_PROBLEMS):
            for table, rows in batch(range(start, min(start + BATCH_PROBLEMS, num_problems))):
                writers[table.name].add_table(rows)


def batch(problems: range) -> Iterator[tuple[Table, pa.Table]]:
    """Rows of some problems of each table."""
    rng = np.random.default_rng(problems.start)
    names = np.repeat([f"p{number:08d}" for number in problems], GROUP_SIZE)
    index = np.tile(sorted(range(GROUP_SIZE), key=str), len(problems))
    ids = np.array([f"{ROUND}/{p}/{i}" for p, i in zip(names, index, strict=True)])
    count = len(ids)
    kinds = rng.integers(0, 2, count)
    tokens = [*range(NUM_TOKENS)]
    sampled = as_table([row(ROLLOUTS, completion_tokens=tokens)] * 2, ROLLOUTS)
    yield (
        ROLLOUTS,
        taken(sampled, kinds, rollout_id=ids, problem_id=names, sample_index=index),
    )
    scored = as_table([row(SCORES, verdict=v) for v in ("correct", "incorrect")], SCORES)
    yield SCORES, taken(scored, kinds, rollout_id=ids)
    yield (
        LEDGER,
        taken(as_table([row(LEDGER)] * 2, LEDGER), kinds, rollout_id=ids, problem_id=names),
    )
    owners = np.repeat(ids, NUM_SEGMENTS)
    places = np.tile(np.arange(NUM_SEGMENTS), count)
    size = NUM_TOKENS // NUM_SEGMENTS
    cut = as_table(
        [
            row(SEGMENTS, segment_index=i, start_token=i * size, end_token=(i + 1) * size)
            for i in range(NUM_SEGMENTS)
        ],
        SEGMENTS,
    )
    yield SEGMENTS, taken(cut, places, rollout_id=owners)
    before, after = rng.random((2, len(owners)))
    gained = as_table([row(GAINS, segment_index=i) for i in range(NUM_SEGMENTS)], GAINS)
    yield (
        GAINS,
        taken(
            gained,
            places,
            rollout_id=owners,
            success_before=before,
            success_after=after,
            progress=after.astype(np.float32) - before.astype(np.float32),
        ),
    )


if __name__ == "__main__":
    command(main)

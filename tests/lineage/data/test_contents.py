"""Rows by their content, over many batches."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lineage.data.contents import Counts, Memory, Reader, TableDifference, table_differences
from lineage.record.digests import digests_of
from lineage.record.lock import File, Step
from lineage.record.store import Store
from lineage.record.tree import open_tree
from tests.lineage import chain

NUM_ROWS = 200_000


def reader_of(folder: Path, name: str, shift: int) -> Reader:
    """Reads a table of rollouts `shift` to `shift` + 200,000, in an order of its own."""
    order = np.random.default_rng(shift).permutation(np.arange(shift, NUM_ROWS + shift))
    rows = {
        "problem_id": [f"p{number % 1000}" for number in order],
        "completion_tokens": [[number, 1] for number in order.tolist()],
    }
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table(rows), path)
    with path.open("rb") as stream:
        file = File(path.name, digests_of(stream).md5, 1)
    step = Step(f"rollout@{name}", f"python --rollouts {path.name}", (), (file,), {})
    return Reader(Store(open_tree(folder), ()), [step], Memory())


def test_rows_are_found_again_in_any_order(tmp_path: Path) -> None:
    """In more than one batch: only new rows are new."""
    chain.write(tmp_path, {})
    sides = reader_of(tmp_path, "a", 0), reader_of(tmp_path, "b", 10)
    (rollouts,) = (one for one in table_differences(*sides) if one.table == "rollouts")
    assert isinstance(rollouts, TableDifference)
    assert rollouts.after == Counts(NUM_ROWS, 1000)
    assert (rollouts.rows_only_before, rollouts.rows_only_after) == (10, 10)

"""A long round made of a short one is a round of other problems."""

import pyarrow as pa

from benchmarks.long_round import renamed
from benchmarks.table_memory import GROUP_SIZE
from stages.contracts.tables.rollouts import ROLLOUTS


def test_renamed_rows_are_those_of_later_problems() -> None:
    data = pa.table(
        {
            "rollout_id": ["i1/t00000009/0", "i1/t00000010/199"],
            "problem_id": ["t00000009", "t00000010"],
            "seed": pa.array([9, 10], ROLLOUTS.schema.field("seed").type),
        }
    )
    later = renamed(data, 90)
    assert later.schema == data.schema
    assert later.to_pydict() == {
        "rollout_id": ["i1/t00000099/0", "i1/t00000100/199"],
        "problem_id": ["t00000099", "t00000100"],
        "seed": [9 + 90 * GROUP_SIZE, 10 + 90 * GROUP_SIZE],
    }

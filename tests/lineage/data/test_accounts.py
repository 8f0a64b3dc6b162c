"""Problems of several tables are counted by name."""

import numpy as np
import pyarrow as pa

from lineage.data.accounts import num_trained


class Table:
    """The problems of a table, as read."""

    def __init__(self, names: list[str], is_trained: list[bool]) -> None:
        self.names, self.is_trained = pa.array(names), np.array(is_trained)


def test_trained_problems_of_two_tables_are_counted_by_name() -> None:
    tables = [Table(["a", "b", "c"], [True, True, False]), Table(["b", "c"], [True, False])]
    assert num_trained(tables) == 2
    assert num_trained(tables[:1]) == 2

"""What check frames are made with, by hand: lists as flat arrays, residuals that know null."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from stages.validate.frames import lengths_of, looked_up, ragged, residual, scalars

LISTS = pa.chunked_array([pa.array([[4, 5, 6], [], [7]], pa.list_(pa.int32()))])


def test_a_list_column_is_flat_and_knows_its_rows() -> None:
    flat = ragged(LISTS)
    assert flat.lengths.tolist() == lengths_of(LISTS).tolist() == [3, 0, 1]
    assert flat.values.tolist() == [4, 5, 6, 7]
    assert flat.owners.tolist() == [0, 0, 0, 2]
    assert flat.positions.tolist() == [0, 1, 2, 0]


def test_rows_are_reduced_counted_and_looked_into() -> None:
    flat = ragged(LISTS)
    assert flat.reduce("max").tolist()[::2] == [6, 7]
    assert np.isnan(flat.reduce("max")[1])
    assert flat.count(flat.values > 4).tolist() == [2, 0, 1]
    rows, positions = np.array([0, 0, 1, 2]), np.array([2, 3, 0, -1])
    assert flat.at(rows, positions, missing=-9).tolist() == [6, -9, -9, -9]


def test_missing_entries_are_marked() -> None:
    holes = pa.chunked_array([pa.array([[1, None]], pa.list_(pa.int32()))])
    assert ragged(holes).values.tolist() == [1, -1]
    floats = pa.chunked_array([pa.array([[1.0, None]], pa.list_(pa.float32()))])
    assert np.isnan(ragged(floats).values[1])


@pytest.mark.parametrize(
    ("value", "due", "distance"),
    [
        (0.5, 0.25, 0.25),
        (0.5, 0.5, 0.0),
        (None, np.nan, 0.0),
        (None, 0.5, np.inf),
        (0.5, np.nan, np.inf),
        (np.nan, np.nan, np.inf),
    ],
)
def test_null_is_right_only_where_it_belongs(
    value: float | None, due: float, distance: float
) -> None:
    stored = pa.chunked_array([pa.array([value], pa.float64(), from_pandas=False)])
    assert residual(stored.to_pandas(), stored, pd.Series([due])).tolist() == [distance]


def test_keys_without_a_number_have_none() -> None:
    numbers = pd.Series({"a": 1, "b": 2})
    looked = looked_up(pd.Series(["b", "x", "a"], index=[5, 6, 7]), numbers)
    assert looked.index.tolist() == [5, 6, 7]
    assert looked.tolist()[::2] == [2, 1]
    assert np.isnan(looked[6])


def test_one_value_a_row_in_double_precision() -> None:
    table = pa.table({"name": ["a"], "value": pa.array([0.1], pa.float32()), "list": [[1]]})
    frame = scalars(table)
    assert frame.columns.tolist() == ["name", "value"]
    assert frame["value"].dtype == np.float64

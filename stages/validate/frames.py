"""What check frames are made with: list columns as flat arrays, residuals that know of null."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int, Shaped

UNKNOWN = "unknown"
SEGMENT = ["rollout_id", "segment_index"]
BOUNDARY = ["rollout_id", "boundary_index"]


def residual(values: pd.Series, stored: pa.ChunkedArray, due: pd.Series) -> pd.Series:
    """Distance of a nullable column from what it must be.

    `due` is NaN where null belongs; infinite on a mismatch.
    """
    is_null = stored.is_null().to_numpy()
    distance = (values.astype(float) - due).abs().fillna(np.inf)
    return distance.mask(is_null & due.isna(), 0.0)


def looked_up(keys: pd.Series, numbers: pd.Series) -> pd.Series:
    """The number of each key; NaN where it has none.

    `map` gives texts where there are no numbers at all.
    """
    return numbers.reindex(keys).set_axis(keys.index)


@dataclass(frozen=True)
class Ragged:
    """A list column: the length of each row, and every entry's value, row and place in the row."""

    lengths: Int[np.ndarray, " row"]
    values: Shaped[np.ndarray, " entry"]
    owners: Int[np.ndarray, " entry"]
    positions: Int[np.ndarray, " entry"]

    def reduce(self, how: str) -> pd.Series:
        """`max`, `min` or `sum` of each row's values; NaN where it has none."""
        return (
            pd.Series(self.values).groupby(self.owners).agg(how).reindex(range(len(self.lengths)))
        )

    def count(self, is_counted: Bool[np.ndarray, " entry"]) -> Int[np.ndarray, " row"]:
        """How many of each row's entries are marked."""
        return np.bincount(self.owners[is_counted], minlength=len(self.lengths))

    def at(
        self,
        rows: Int[np.ndarray, " place"],
        positions: Int[np.ndarray, " place"],
        missing: int | float,
    ) -> Shaped[np.ndarray, " place"]:
        """The entries at places in rows; `missing` where a row has none there."""
        firsts = self.lengths.cumsum() - self.lengths
        is_there = (positions >= 0) & (positions < self.lengths[rows])
        found = np.full(len(rows), missing, dtype=self.values.dtype)
        found[is_there] = self.values[(firsts[rows] + positions)[is_there]]
        return found


def ragged(column: pa.ChunkedArray) -> Ragged:
    """A list column, flat; missing integers are -1."""
    lengths = lengths_of(column)
    flat = pc.list_flatten(column)
    if pa.types.is_integer(flat.type):
        flat = pc.fill_null(flat, -1)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    positions = np.arange(len(owners)) - np.repeat(lengths.cumsum() - lengths, lengths)
    values = flat.to_numpy()
    return Ragged(
        lengths,
        values.astype(np.float64) if values.dtype.kind == "f" else values,
        owners,
        positions,
    )


def lengths_of(column: pa.ChunkedArray) -> Int[np.ndarray, " row"]:
    """How many entries each list of a column has."""
    lengths: Int[np.ndarray, " row"] = pc.list_value_length(column).to_numpy().astype(np.int64)
    return lengths


def ids(table: pa.Table) -> pd.Series:
    """The rollout of each row."""
    return table["rollout_id"].to_pandas()


def scalars(table: pa.Table) -> pd.DataFrame:
    """The table's columns that hold one value a row, floats in double precision."""
    frame = table.select(
        [field.name for field in table.schema if not pa.types.is_list(field.type)]
    ).to_pandas()
    return frame.astype(dict.fromkeys(frame.select_dtypes("float32"), "float64"))

"""How far two files that are not the same bytes lie apart: in the last digits of their numbers, or in more."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as kinds
from numpy.typing import ArrayLike

from lineage.data.weights import header, numbers

ABSOLUTE, RELATIVE = 1e-5, 1e-4
"""Numbers are close where they differ by at most `ABSOLUTE + RELATIVE * |recorded|`: what the order of sums does."""


@dataclass(frozen=True)
class Distance:
    """How far apart. What is no float must be equal to be close: keys, texts, counts, shapes."""

    is_close: bool
    largest: float | None = None
    """Largest difference of two numbers, where numbers are all that differs."""


APART = Distance(False)
NONE = Distance(True, 0.0)


def distance(name: str, before: IO[bytes], after: IO[bytes]) -> Distance:
    """How far two files of a name lie apart; of a kind not known here, whole."""
    known = KINDS.get(PurePosixPath(name).suffix)
    return known(before, after) if known else APART


def _weights(before: IO[bytes], after: IO[bytes]) -> Distance:
    left, right = header(before), header(after)
    if _shapes(left) != _shapes(right):
        return APART
    return _worst([_floats(numbers(before, left[name]), numbers(after, right[name])) for name in left])


def _shapes(tensors: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: (entry["dtype"], entry["shape"]) for name, entry in tensors.items()}


def _table(before: IO[bytes], after: IO[bytes]) -> Distance:
    left, right = pq.ParquetFile(before), pq.ParquetFile(after)
    if left.schema_arrow != right.schema_arrow or left.metadata.num_rows != right.metadata.num_rows:
        return APART
    columns = ([file.read(columns=[name]).column(0) for file in (left, right)] for name in left.schema_arrow.names)
    return _worst([_column(*(pa.concat_arrays(column.chunks) for column in pair)) for pair in columns])


def _column(left: pa.Array, right: pa.Array) -> Distance:
    if left.equals(right):
        return NONE
    if left.is_null() != right.is_null():
        return APART
    if kinds.is_list(left.type):
        is_same_shape = pc.list_value_length(left).equals(pc.list_value_length(right))
        return _column(left.flatten(), right.flatten()) if is_same_shape else APART
    if not kinds.is_floating(left.type):
        return APART
    return _floats(left.drop_null().to_numpy(), right.drop_null().to_numpy())


def _json(before: IO[bytes], after: IO[bytes]) -> Distance:
    return _values(json.load(before), json.load(after))


def _values(left: Any, right: Any) -> Distance:
    if isinstance(left, float) and isinstance(right, float):
        return _floats([left], [right])
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        return _worst([_values(left[key], right[key]) for key in left])
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return _worst([_values(*pair) for pair in zip(left, right, strict=True)])
    return NONE if type(left) is type(right) and left == right else APART


def _floats(left: ArrayLike, right: ArrayLike) -> Distance:
    before, after = np.asarray(left, np.float64), np.asarray(right, np.float64)
    unequal = (before != after) & ~(np.isnan(before) & np.isnan(after))
    if not unequal.any():
        return NONE
    before, after = before[unequal], after[unequal]
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return APART
    apart = np.abs(after - before)
    return Distance(bool((apart <= ABSOLUTE + RELATIVE * np.abs(before)).all()), float(apart.max()))


def _worst(found: list[Distance]) -> Distance:
    if any(one.largest is None for one in found):
        return APART
    return Distance(all(one.is_close for one in found), max((one.largest or 0.0 for one in found), default=0.0))


KINDS: dict[str, Callable[[IO[bytes], IO[bytes]], Distance]] = {
    ".safetensors": _weights,
    ".parquet": _table,
    ".json": _json,
}

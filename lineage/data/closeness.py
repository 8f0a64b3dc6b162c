"""How far two files that are not the same bytes lie apart: by the last digits, or by more."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds
from numpy.typing import ArrayLike

from lineage.data.tables import open_part
from lineage.data.weights import Tensor, header, numbers
from lineage.record.values import Value

ABSOLUTE, RELATIVE = 1e-5, 1e-4
"""Numbers are close that differ by at most `ABSOLUTE + RELATIVE * |recorded|`, as sums may."""


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
    compare = KINDS.get(PurePosixPath(name).suffix)
    return compare(before, after) if compare else APART


def _weights(before: IO[bytes], after: IO[bytes]) -> Distance:
    left, right = header(before), header(after)
    if _shapes(left) != _shapes(right):
        return APART
    pairs = ((numbers(before, left[name]), numbers(after, right[name])) for name in left)
    return _worst([_floats(*pair) for pair in pairs])


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, Sequence[int]]]:
    return {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}


def _table(before: IO[bytes], after: IO[bytes]) -> Distance:
    left, right = open_part(before, "recorded"), open_part(after, "rebuilt")
    if left.schema != right.schema or left.num_rows != right.num_rows:
        return APART
    return _worst([_column(left.column(name), right.column(name)) for name in left.schema.names])


def _column(left: pa.Array, right: pa.Array) -> Distance:
    if left.equals(right):
        return NONE
    if left.is_null() != right.is_null():
        return APART
    if kinds.is_list(left.type):
        if not pc.list_value_length(left).equals(pc.list_value_length(right)):
            return APART
        return _column(left.flatten(), right.flatten())
    if not kinds.is_floating(left.type):
        return APART
    return _floats(left.drop_null().to_numpy(), right.drop_null().to_numpy())


def _json(before: IO[bytes], after: IO[bytes]) -> Distance:
    return _values(json.load(before), json.load(after))


def _values(left: Value, right: Value) -> Distance:
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


def _worst(distances: Sequence[Distance]) -> Distance:
    largest = 0.0
    for each in distances:
        if each.largest is None:
            return APART
        largest = max(largest, each.largest)
    return Distance(all(each.is_close for each in distances), largest)


KINDS: dict[str, Callable[[IO[bytes], IO[bytes]], Distance]] = {
    ".safetensors": _weights,
    ".parquet": _table,
    ".json": _json,
}

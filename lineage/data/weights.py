"""Weights files (safetensors), tensor by tensor, without torch: a header of JSON, then numbers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

LENGTH_BYTES = 8
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
BFLOAT = "BF16"
"""The upper half of a 32-bit float, which numpy does not know."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file, and where its numbers lie."""

    dtype: str
    shape: Sequence[int]
    begin: int
    size: int
    """Bytes."""


def header(stream: IO[bytes]) -> dict[str, Tensor]:
    """The tensors of a file by name. Leaves the stream behind the header."""
    size = int.from_bytes(stream.read(LENGTH_BYTES), "little")
    tensors = {}
    for name, entry in json.loads(stream.read(size)).items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            begin = LENGTH_BYTES + size + start
            tensors[name] = Tensor(entry["dtype"], entry["shape"], begin, end - start)
    return tensors


def numbers(stream: IO[bytes], tensor: Tensor) -> NDArray[Any]:
    """The numbers of a tensor, flat; those of other types than floats as bytes."""
    stream.seek(tensor.begin)
    content = stream.read(tensor.size)
    if tensor.dtype == BFLOAT:
        return (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(content, FLOATS.get(tensor.dtype, "u1"))

"""Weights files (safetensors), tensor by tensor, without torch: a header of JSON, then the numbers."""

import json
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

LENGTH_BYTES = 8
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
BFLOAT = "BF16"
"""The upper half of a 32-bit float, which numpy does not know."""


def header(stream: IO[bytes]) -> dict[str, dict[str, Any]]:
    """The tensors of a file by name: dtype, shape, and where the numbers lie. Leaves the stream behind the header."""
    size = int.from_bytes(stream.read(LENGTH_BYTES), "little")
    entries = json.loads(stream.read(size))
    return {
        name: {**entry, "begin": LENGTH_BYTES + size + entry["data_offsets"][0]}
        for name, entry in entries.items()
        if name != "__metadata__"
    }


def numbers(stream: IO[bytes], entry: Mapping[str, Any]) -> NDArray[Any]:
    """The numbers of a tensor, flat; those of other types than floats as bytes."""
    stream.seek(entry["begin"])
    content = stream.read(entry["data_offsets"][1] - entry["data_offsets"][0])
    if entry["dtype"] == BFLOAT:
        return (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(content, FLOATS.get(entry["dtype"], "u1"))

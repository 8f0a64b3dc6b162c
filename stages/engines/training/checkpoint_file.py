"""A trainer's checkpoint on disk: tensors and history, with a checksum over both.

It is only a saving. One that a power cut or a bad disk has spoilt is told of and left, and the work
is done again.
"""

import json
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, uint8

from stages.running.errors import lack_of
from stages.running.publish import atomic

History = list[dict[str, float]]
HISTORY, CHECKSUM = "history", "crc32"


def write(path: Path, tensors: Mapping[str, Tensor], history: History) -> None:
    """Write a checkpoint, whole or not at all."""
    text = json.dumps(history)
    metadata = {HISTORY: text, CHECKSUM: _checksum(tensors, text)}
    with atomic(path) as beside:
        save_file(dict(tensors), beside, metadata=metadata)


def read(path: Path) -> tuple[dict[str, Tensor], History] | None:
    """What was written; None where there is nothing, or nothing sound."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        history: History = json.loads(metadata[HISTORY])
        if metadata[CHECKSUM] != _checksum(tensors, metadata[HISTORY]):
            raise ValueError("its checksum is another")
    except Exception as error:  # safetensors raises many kinds for one cause
        if lack_of(error):
            raise
        print(f"unfinished work {path} cannot be read ({error}); it is done again", file=sys.stderr)
        return None
    return tensors, history


def _checksum(tensors: Mapping[str, Tensor], history: str) -> str:
    found = zlib.crc32(history.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        found = zlib.crc32(f"{name} {tensor.dtype} {[*tensor.shape]}".encode(), found)
        found = zlib.crc32(tensor.reshape(-1).view(uint8).numpy().data, found)
    return f"{found:08x}"

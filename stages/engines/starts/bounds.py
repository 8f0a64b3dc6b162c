"""What a checkpoint may be at most, seen before any library opens it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.contracts.companions import CONFIG_FILE, GENERATION_FILE, SETTINGS_FILE, TOKENIZER_FILE
from stages.engines.starts.files import INDEX_FILE, read_object
from stages.running.errors import BadInput

LENGTH_BYTES = 8
MAX_HEADER_BYTES, MAX_JSON_BYTES = 2**26, 2**28
MAX_TENSORS = 200_000
LAYERS = re.compile(r"^(?!max_).*layers?$")
"""Keys of config.json that count layers, each of which has weights of its own."""


def need_bounded(folder: Path, weights: Sequence[str]) -> None:
    """See that no file is larger, and no number higher, than what the weights can fill.

    Raises:
        BadInput: one is, or the weights are corrupt.
    """
    where = f"checkpoint {folder}"
    for name in (CONFIG_FILE, GENERATION_FILE, SETTINGS_FILE, TOKENIZER_FILE, INDEX_FILE):
        path = folder / name
        if path.is_file() and (size := path.stat().st_size) > MAX_JSON_BYTES:
            raise BadInput(f"{where}: {name} has {size:,} bytes; choose another checkpoint")
    num_tensors = 0
    for name in weights:
        shapes = _shapes(folder, name)
        num_tensors += len(shapes)
        empty = [tensor for tensor, shape in shapes.items() if 0 in shape]
        if empty:
            raise BadInput(
                f"{where}: {name} has {len(empty):,} empty tensors, first {empty[0]!r:.80}; "
                "fetch it anew, or choose another checkpoint"
            )
    if num_tensors > MAX_TENSORS:
        raise BadInput(
            f"{where}: its weights are {num_tensors:,} tensors, more than the {MAX_TENSORS:,} that "
            "are opened; choose another checkpoint"
        )
    for name, number in _numbers(read_object(folder, CONFIG_FILE)):
        if LAYERS.match(name) and number > num_tensors:
            raise BadInput(
                f"{where}: {CONFIG_FILE} says {name} {number:,.6g}, but its weights are "
                f"{num_tensors:,} tensors; the two are not of one policy"
            )


def _shapes(folder: Path, name: str) -> dict[str, Sequence[int]]:
    """The shape of each tensor in a file of weights, by its header."""
    path = folder / name
    with path.open("rb") as stream:
        num_bytes = int.from_bytes(stream.read(LENGTH_BYTES), "little")
        if num_bytes > min(MAX_HEADER_BYTES, path.stat().st_size):
            raise BadInput(
                f"checkpoint {folder}: {name} cannot be opened (a header of {num_bytes:,} bytes); "
                "fetch it anew"
            )
        header = stream.read(num_bytes)
    try:
        tensors = json.loads(header)
        return {each: told["shape"] for each, told in tensors.items() if each != "__metadata__"}
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(
            f"checkpoint {folder}: {name} cannot be opened ({error!r:.60}); fetch it anew"
        ) from None


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, int | float]]:
    """Names and numbers of a configuration, and of those within it."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _numbers(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value

"""The files of a checkpoint that decide what policy it is, and their digest."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.contracts.companions import (
    CONFIG_FILE,
    GENERATION_FILE,
    SETTINGS_FILE,
    TEMPLATE_FILE,
    TOKENIZER_FILE,
    json_object,
)
from stages.engines.policy import WEIGHTS_FILE
from stages.running.errors import BadInput

INDEX_FILE = "model.safetensors.index.json"
BESIDE_WEIGHTS = (
    *(INDEX_FILE, CONFIG_FILE, GENERATION_FILE, TOKENIZER_FILE, SETTINGS_FILE, TEMPLATE_FILE),
    *("special_tokens_map.json", "added_tokens.json"),
)
"""What decides, where it is there, how weights are read, and text is written."""


def checkpoint_digest(folder: Path, weights: Sequence[str]) -> str:
    """The sha256 of what `sha256sum` prints of the deciding files, sorted by name."""
    beside = [name for name in BESIDE_WEIGHTS if (folder / name).is_file()]
    lines = []
    for name in sorted({*weights, *beside}):
        with (folder / name).open("rb") as stream:
            lines.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def weight_files(folder: Path) -> list[str]:
    """The file of weights, or those that the index of several names.

    Raises:
        BadInput: the index is corrupt, or names files elsewhere.
    """
    if not (folder / INDEX_FILE).is_file():
        return [WEIGHTS_FILE]
    shards = set(read_object(folder, INDEX_FILE).get("weight_map", {}).values())
    outside = sorted(
        name for name in shards if Path(name).name != name or not name.endswith(".safetensors")
    )
    if outside or not shards:
        raise BadInput(
            f"checkpoint {folder}: {INDEX_FILE} names {outside or 'no file'}; fetch it anew"
        )
    return sorted(shards)


def read_object(folder: Path, name: str) -> dict[str, Any]:
    """The object in a file of a checkpoint.

    Raises:
        BadInput: it holds something else.
    """
    try:
        return json_object((folder / name).read_text(encoding="utf-8"), name)
    except UnicodeDecodeError as error:
        raise BadInput(f"checkpoint {folder}: {name} is not in UTF-8 ({error})") from None
    except BadInput as error:
        raise BadInput(f"checkpoint {folder}: {error}") from None

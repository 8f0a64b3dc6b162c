"""Checkpoints out of all bounds: refused before anything opens them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from stages.engines.starts import bounds
from stages.engines.starts.bounds import need_bounded
from stages.running.errors import BadInput

WEIGHTS = "model.safetensors"


def checkpoint(folder: Path, num_elements: int = 1, num_tensors: int = 3, **config: Any) -> None:
    tensors = {f"t{number}": torch.zeros(num_elements) for number in range(num_tensors)}
    save_file(tensors, folder / WEIGHTS)
    (folder / "config.json").write_text(json.dumps(config))


def test_what_weights_can_fill_is_taken(tmp_path: Path) -> None:
    checkpoint(tmp_path, num_hidden_layers=3, max_window_layers=28, hidden_size=10**6)
    need_bounded(tmp_path, [WEIGHTS])


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 10**6},
        {"num_hidden_layers": 10**9},
        {"n_layer": 1e300},
        {"text_config": {"num_layers": 4}},
    ],
)
def test_more_layers_than_tensors_are_refused(config: dict[str, Any], tmp_path: Path) -> None:
    checkpoint(tmp_path, **config)
    with pytest.raises(BadInput, match=r"config\.json says n\w+ .* its weights are 3 tensors"):
        need_bounded(tmp_path, [WEIGHTS])


def test_tensors_without_number_and_empty_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(tmp_path, num_elements=0)
    with pytest.raises(BadInput, match="has 3 empty tensors, first 't0'"):
        need_bounded(tmp_path, [WEIGHTS])
    checkpoint(tmp_path)
    monkeypatch.setattr(bounds, "MAX_TENSORS", 2)
    with pytest.raises(BadInput, match="its weights are 3 tensors, more than the 2"):
        need_bounded(tmp_path, [WEIGHTS])


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 20, b"\x02" + b"\0" * 7 + b"[]", b"\x08" + b"\0" * 7 + b'{"a": 1}'],
)
def test_weights_without_a_header_are_refused(content: bytes, tmp_path: Path) -> None:
    checkpoint(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(BadInput, match=r"model\.safetensors cannot be opened"):
        need_bounded(tmp_path, [WEIGHTS])


def test_a_configuration_nested_too_deep_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    (tmp_path / "config.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(BadInput, match=r"config\.json is no JSON"):
        need_bounded(tmp_path, [WEIGHTS])

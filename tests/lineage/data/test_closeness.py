"""What is the same up to the last digits: numbers only, and all around them is equal."""

import json
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save
from safetensors.torch import save as save_torch

from lineage.data.closeness import ABSOLUTE, APART, RELATIVE, Distance, distance

SMALL = ABSOLUTE / 2


def weights(**tensors: Any) -> bytes:
    return save({name: np.asarray(values, np.float32) for name, values in tensors.items()})


def table(**columns: Any) -> bytes:
    stream = BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def apart(name: str, before: bytes, after: bytes) -> Distance:
    return distance(name, BytesIO(before), BytesIO(after))


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def floats(*values: float | None) -> pa.Array:
    return pa.array(values, pa.float32())


@pytest.mark.parametrize(
    ("name", "before", "after", "is_close"),
    [
        ("a.safetensors", weights(w=[1, 2]), weights(w=[1, 2 + SMALL]), True),
        ("a.safetensors", weights(w=[100]), weights(w=[100 * (1 + RELATIVE / 2)]), True),
        ("a.safetensors", weights(w=[1, 2]), weights(w=[1, 2.01]), False),
        ("a.safetensors", weights(w=[1, 2]), weights(w=[[1, 2]]), False),
        ("a.safetensors", weights(w=[1]), weights(v=[1]), False),
        ("a.safetensors", weights(w=[1, np.nan]), weights(w=[1 + SMALL, np.nan]), True),
        ("a.safetensors", weights(w=[1]), weights(w=[np.nan]), False),
        ("a.safetensors", weights(w=[1]), weights(w=[np.inf]), False),
        ("t.parquet", table(id=["a"], x=floats(1)), table(id=["a"], x=floats(1 + SMALL)), True),
        ("t.parquet", table(id=["a"], x=floats(1)), table(id=["b"], x=floats(1)), False),
        ("t.parquet", table(n=[1]), table(n=[2]), False),
        ("t.parquet", table(x=floats(1, None)), table(x=floats(1 + SMALL, None)), True),
        ("t.parquet", table(x=floats(1, None)), table(x=floats(None, 1)), False),
        ("t.parquet", table(x=floats(1)), table(x=floats(1, 1)), False),
        ("t.parquet", table(x=floats(1)), table(y=floats(1)), False),
        ("t.parquet", table(x=[[1.0, 2.0], []]), table(x=[[1.0, 2 + SMALL], []]), True),
        ("t.parquet", table(x=[[1.0], [2.0]]), table(x=[[1.0, 2.0], []]), False),
        ("t.parquet", table(x=[[1, 2]]), table(x=[[1, 3]]), False),
        ("m.json", text({"a": [1.0, "b"]}), text({"a": [1 + SMALL, "b"]}), True),
        ("m.json", text({"a": 1.0}), text({"a": 1.1}), False),
        ("m.json", text({"a": 1}), text({"a": 2}), False),
        ("m.json", text({"a": None}), text({"a": 0.0}), False),
        ("m.json", text({"a": 1.0}), text({"b": 1.0}), False),
        ("m.json", text([1.0]), text([1.0, 1.0]), False),
        ("page.html", b"a", b"b", False),
    ],
)
def test_close_is_numbers_only(name: str, before: bytes, after: bytes, is_close: bool) -> None:
    assert apart(name, before, after).is_close is is_close


def test_it_says_by_how_much() -> None:
    assert apart("a.safetensors", weights(w=[1, 2]), weights(w=[1.5, 2])) == Distance(False, 0.5)
    assert apart("t.parquet", table(id=["a"]), table(id=["b"])) == APART


def test_half_precision_is_read() -> None:
    """A numpy array has no bfloat16."""
    before, after = torch.tensor([1.0, -3.0]).bfloat16(), torch.tensor([1.0, -3.5]).bfloat16()
    assert apart("a.safetensors", save_torch({"w": before}), save_torch({"w": after})) == Distance(
        False, 0.5
    )


def test_integers_in_weights_must_be_equal() -> None:
    before, after = (save({"w": np.asarray([n])}) for n in (1, 2))
    assert not apart("a.safetensors", before, after).is_close

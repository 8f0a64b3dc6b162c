"""A checkpoint comes back to the bit, or not at all."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stages.engines.training import checkpoint_file
from stages.engines.training.checkpoint_file import read, write

HISTORY = [{"loss": 0.5, "grad_norm": 1.0}, {"loss": 0.25, "grad_norm": 2.0}]
TENSORS = {
    "parameter.a": torch.arange(12.0).reshape(3, 4).t(),
    "parameter.b": torch.ones(5, dtype=torch.bfloat16),
    "step.a": torch.tensor(2.0),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "checkpoint", {k: v.contiguous() for k, v in TENSORS.items()}, HISTORY)
    return tmp_path / "checkpoint"


def is_as_written(path: Path) -> bool:
    found = read(path)
    if found is None:
        return False
    tensors, history = found
    assert history == HISTORY
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert all(tensors[name].dtype == TENSORS[name].dtype for name in TENSORS)
    return True


def test_it_comes_back(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert is_as_written(path)
    assert capsys.readouterr().err == ""


def test_nothing_is_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(tmp_path / "checkpoint") is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "spoil",
    [lambda _: b"", lambda whole: whole[: len(whole) // 2], lambda whole: bytes(len(whole))],
    ids=["emptied", "halved", "zeroed"],
)
def test_what_is_cut_is_left(
    spoil: Callable[[bytes], bytes], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_bytes(spoil(path.read_bytes()))
    assert not is_as_written(path)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"unfinished work {path} cannot be read")


def test_a_bit_that_flips_is_told_or_changes_nothing(path: Path) -> None:
    sound, rng, num_left = path.read_bytes(), random.Random(0), 0
    for _ in range(300):
        bit, spoilt = rng.randrange(8 * len(sound)), bytearray(sound)
        spoilt[bit // 8] ^= 1 << bit % 8
        path.write_bytes(spoilt)
        num_left += not is_as_written(path)
    assert num_left > 250


def test_one_without_a_checksum_is_left(path: Path) -> None:
    save_file({"a": torch.ones(2)}, path, metadata={"history": "[]"})
    assert read(path) is None


def test_want_of_memory_is_no_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(checkpoint_file, "safe_open", fail)
    with pytest.raises(MemoryError):
        read(path)

"""Tokens as text, by tokenizers that add what they like between tokens."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models

from reading.tokens import Decoder


@pytest.fixture
def bytewise(tmp_path: Path) -> Decoder:
    """A policy whose tokens are bytes: é is two of them."""
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    (tmp_path / "policies" / "b1").mkdir(parents=True)
    tokenizer.save(str(tmp_path / "policies" / "b1" / "tokenizer.json"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return Decoder(tmp_path / "policies")


def test_words_add_up_to_the_text(bytewise: Decoder) -> None:
    tokens = [*b"a b"]
    assert bytewise.text("b1", tokens) == "a b"
    assert bytewise.words("b1", tokens) == ["a", " ", "b"]


def test_letters_of_several_tokens_have_no_words(bytewise: Decoder) -> None:
    tokens = [*"né".encode()]
    assert bytewise.text("b1", tokens) == "né"
    assert bytewise.words("b1", tokens) is None


def test_of_no_tokens_there_are_no_words(bytewise: Decoder) -> None:
    assert "".join(bytewise.words("b1", []) or []) == ""


@pytest.mark.parametrize("policy", ["r9", "..", "../policies/../..", "b1/../.."])
def test_a_policy_that_is_not_here_has_no_text(policy: str, bytewise: Decoder) -> None:
    assert bytewise.text(policy, [1]) is None
    assert bytewise.words(policy, [1]) is None

"""What each token adds: bytes of a letter, spaces that a token alone does not show."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from stages.contracts.render import Renderer, exact_tokens
from stages.contracts.token_text import span_texts, token_texts

FOLDER = Path(__file__).parent / "tokenizers"
BYTES, LLAMA = (
    Tokenizer.from_file(str(FOLDER / f"{name}.json")) for name in ("bytelevel", "llama2")
)


@pytest.mark.parametrize(
    ("tokenizer", "text"),
    [
        *((BYTES, text) for text in ("3加4等于7。对", "a so  b\n\n c", "é😀 é", "plain")),
        *((LLAMA, text) for text in ("a so  b\n\n c", "plain")),
    ],
)
def test_what_tokens_add_is_the_text(tokenizer: Tokenizer, text: str) -> None:
    renderer = Renderer(tokenizer, {})
    added = token_texts(renderer, renderer.encode(text))
    assert "".join(added) == text
    assert "\ufffd" not in "".join(added)


def test_a_letter_is_added_by_its_last_token() -> None:
    renderer = Renderer(BYTES, {})
    tokens = renderer.encode("。")
    assert token_texts(renderer, tokens) == [*[""] * (len(tokens) - 1), "。"]


def test_a_space_behind_others_is_its_tokens_own() -> None:
    renderer = Renderer(LLAMA, {})
    tokens = [LLAMA.token_to_id(token) for token in ("a", "▁", "s", "o", "▁", "b")]
    assert token_texts(renderer, tokens) == ["a", " ", "s", "o", " ", "b"]
    special = LLAMA.token_to_id("<s>")
    assert token_texts(renderer, [*tokens[:2], special, special, *tokens[2:]])[4] == "s"


def test_bytes_that_are_no_letter_hold_back_nothing_behind_them() -> None:
    renderer = Renderer(BYTES, {})
    first = renderer.encode("。")[0]
    added = token_texts(renderer, [first] * 9 + renderer.encode("ab。c"))
    assert "".join(added).endswith("ab。c")


@pytest.mark.parametrize("tokenizer", [BYTES, LLAMA], ids=["bytes", "llama"])
@given(text=st.text("aé。😀 \n", max_size=12), cuts=st.sets(st.integers(1, 40)))
def test_spans_joined_are_the_text(tokenizer: Tokenizer, text: str, cuts: set[int]) -> None:
    renderer = Renderer(tokenizer, {})
    tokens = renderer.encode(text)
    ends = [*sorted(cut for cut in cuts if cut < len(tokens)), len(tokens)]
    spans = span_texts(tokens, ends, renderer.text)
    assert len(spans) == len(ends)
    assert "".join(spans) == renderer.text(tokens)


def test_spans_by_hand() -> None:
    """A letter cut apart is the later span's; a space that a token alone does not show is kept."""
    in_bytes = Renderer(BYTES, {})
    tokens = in_bytes.encode("ab。c")
    first = len(in_bytes.encode("ab")) + 1
    assert span_texts(tokens, [first, len(tokens)], in_bytes.text) == ["ab", "。c"]
    assert span_texts(tokens[:first], [first], in_bytes.text) == ["ab\ufffd"]
    in_pieces = Renderer(LLAMA, {})
    tokens = [LLAMA.token_to_id(token) for token in ("a", "▁", "s", "▁", "b")]
    assert span_texts(tokens, [1, 3, 5], in_pieces.text) == ["a", " s", " b"]
    special = LLAMA.token_to_id("</s>")
    assert span_texts([*tokens, special], [5, 6], in_pieces.text) == ["a s b", "</s>"]


def test_a_cue_reads_as_it_is_written() -> None:
    for tokenizer in (BYTES, LLAMA):
        renderer = Renderer(tokenizer, {})
        tokens = exact_tokens("</think>\n\n", renderer.encode, renderer.text)
        assert renderer.text(tokens) == "</think>\n\n"


def test_ids_with_gaps_are_within_the_vocabulary() -> None:
    told = json.loads((FOLDER / "bytelevel.json").read_text())
    told["added_tokens"][-1]["id"] = 900
    told["model"]["vocab"].pop("</think>", None)
    renderer = Renderer(Tokenizer.from_str(json.dumps(told)), {})
    assert renderer.vocabulary_size > max(renderer.encode("</think>"))
    assert renderer.decode([renderer.vocabulary_size + 5]) == ""
    assert Renderer(BYTES, {}, num_embeddings=1000).vocabulary_size == 1000


def test_truncation_that_was_saved_is_switched_off() -> None:
    tokenizer = Tokenizer.from_file(str(FOLDER / "bytelevel.json"))
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=50)
    renderer = Renderer(tokenizer, {})
    assert renderer.decode(renderer.encode("What is 12 + 7?")) == "What is 12 + 7?"

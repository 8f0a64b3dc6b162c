"""Plain text in tokens: it comes back exactly, and the cue is one token."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contracts.render import Renderer
from stages.tasks.marks import SPECIAL
from stages.tasks.text_format import TextFormat

QUICK = settings(derandomize=True, deadline=None, max_examples=60, database=None)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(
        TextFormat(400).tokenizer(
            ["<bos>the cat sat on the mat\n", "the dog\n\n<answer>the cat"] * 9
        )
    )


@QUICK
@given(st.text())
def test_any_text_comes_back_exactly(renderer: Renderer, text: str) -> None:
    if not any(marker in text for marker in SPECIAL):
        assert renderer.decode(renderer.encode(text)) == text


@QUICK
@given(st.text(alphabet="<answer>#\n the"), st.text(alphabet="<answer>#\n the"))
def test_the_cue_is_one_token_whatever_stands_around_it(
    renderer: Renderer, before: str, after: str
) -> None:
    [cue] = renderer.encode(TextFormat.cue)
    assert renderer.encode(before + TextFormat.cue + after) == [
        *renderer.encode(before),
        cue,
        *renderer.encode(after),
    ]


def test_a_tokenizer_follows_from_its_texts_and_keeps_to_its_size(renderer: Renderer) -> None:
    texts = [f"<bos>What is {n} + {n * n}?\n" for n in range(300)]
    one, two = (TextFormat(300).tokenizer(texts) for _ in range(2))
    assert one.to_str() == two.to_str()
    assert one.get_vocab_size() == 300
    merged = [token for token in one.get_vocab() if re.search("bos|answer", token)]
    assert sorted(merged) == ["<answer>", "<bos>"]
    assert renderer.words(renderer.encode("the cat\n\n")) == ["the", " cat", "\n\n"]

"""Files beside a tokenizer: read as what they are, or refused by their name."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models

from stages.contracts.companions import (
    PLAIN_TEMPLATE,
    chosen_template,
    json_object,
    need_tokens,
    num_embeddings,
    read_companions,
)
from stages.running.errors import BadInput


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "\ufeff{}", "[" * 100_000])
def test_what_is_no_object_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(BadInput, match=r"a\.json "):
        json_object(text, "a.json")


@pytest.mark.parametrize("said", ["</s>", 2**40, -1, True, 1.0, [0, 7], [[0]], {"a": 0}])
def test_an_end_that_is_no_token_is_refused(said: Any) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 5}, unk_token="a"))
    assert need_tokens(tokenizer, [0, 5], "c.json") == [0, 5]
    assert need_tokens(tokenizer, None, "c.json") == []
    with pytest.raises(BadInput, match=r"c\.json names .* which is no token of tokenizer\.json"):
        need_tokens(tokenizer, said, "c.json")


def test_the_template_that_is_meant() -> None:
    named = [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]
    assert chosen_template("f", named, "s.json") == "f"
    assert chosen_template(None, named, "s.json") == "d"
    assert chosen_template(None, {"default": "d"}, "s.json") == "d"
    assert chosen_template(None, None, "s.json") == PLAIN_TEMPLATE
    with pytest.raises(BadInput, match="has chat templates rag, and none named default"):
        chosen_template(None, named[:1], "s.json")
    with pytest.raises(BadInput, match="no text: 7"):
        chosen_template(None, 7, "s.json")


def test_a_template_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes("é".encode("latin-1"))
    with pytest.raises(BadInput, match=r"chat_template\.jinja is not in UTF-8"):
        read_companions(tmp_path)


def test_embeddings_are_as_many_as_the_configuration_says(tmp_path: Path) -> None:
    assert num_embeddings(tmp_path) == 0
    (tmp_path / "config.json").write_text('{"vocab_size": 7}')
    assert num_embeddings(tmp_path) == 7

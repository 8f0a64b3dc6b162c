"""Text to tokens once: nothing added, nothing lost, the same bytes on disk."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from fixtures.tasks import countdown_task
from stages.contracts.render import (
    BOS,
    EOS,
    GENERATION_FILE,
    PAD,
    SETTINGS_FILE,
    TEMPLATE_FILE,
    TOKENIZER_FILE,
    Prompting,
    Renderer,
    json_text,
)
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from stages.tasks.text_format import TextFormat

TASK = countdown_task()
COUNTDOWN = Renderer(load_format(TASK).tokenizer([]))
TEXT = Renderer(
    TextFormat(290).tokenizer(["What is 6 times 7?\n", "Six sevens are forty-two.\n\n"])
)


def test_countdown_is_one_token_a_word_and_nothing_is_added() -> None:
    text = "<bos> 3 5 7 T36 :"
    assert len(COUNTDOWN.encode(text)) == 6
    assert COUNTDOWN.words(COUNTDOWN.encode(text)) == text.split()


def test_special_tokens_are_not_part_of_the_text() -> None:
    tokens = [*COUNTDOWN.encode("7 + 5 12 ="), COUNTDOWN.eos_token, COUNTDOWN.pad_token]
    assert COUNTDOWN.decode(tokens) == "7 + 5 12 ="
    assert COUNTDOWN.words(tokens)[-2:] == [EOS, PAD]


@given(st.lists(st.integers(0, 99), max_size=12))
def test_countdown_tokens_come_back_from_their_text(numbers: list[int]) -> None:
    tokens = COUNTDOWN.encode(" ".join(map(str, numbers)))
    assert COUNTDOWN.encode(COUNTDOWN.decode(tokens)) == tokens


@given(st.text())
def test_any_text_comes_back_from_its_tokens(text: str) -> None:
    assume(not any(special in text for special in (PAD, BOS, EOS)))
    assert TEXT.decode(TEXT.encode(text)) == text


def test_tokens_do_not_come_back_from_their_text() -> None:
    """Why token ids are passed on: a policy may sample another cut of the same text."""
    apart = [token for letter in "Six" for token in TEXT.encode(letter)]
    assert TEXT.decode(apart) == "Six"
    assert TEXT.encode("Six") != apart


def test_a_tokenizer_that_would_add_tokens_adds_none() -> None:
    tokenizer = Tokenizer(models.WordLevel({PAD: 0, BOS: 1, EOS: 2, "a": 3}, unk_token=PAD))
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A {EOS}", special_tokens=[(BOS, 1), (EOS, 2)]
    )
    assert tokenizer.encode("a").ids == [1, 3, 2]
    assert Renderer(tokenizer).encode("a") == [3]


@pytest.mark.parametrize("renderer", [COUNTDOWN, TEXT], ids=["countdown", "text"])
def test_saved_twice_and_opened_by_transformers(renderer: Renderer, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        renderer.save(tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [TOKENIZER_FILE, "tokenizer_config.json"]
    assert all(
        (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        for name in names
    )
    theirs = AutoTokenizer.from_pretrained(tmp_path / "a", local_files_only=True)
    for text in ("3 + 5 8 <", "7 12"):
        assert theirs(text, add_special_tokens=False)["input_ids"] == renderer.encode(text)
    assert (theirs.pad_token_id, theirs.eos_token_id) == (renderer.pad_token, renderer.eos_token)


def test_a_policy_folder_or_its_file_gives_the_same_tokens(tmp_path: Path) -> None:
    COUNTDOWN.save(tmp_path)
    for place in (tmp_path, tmp_path / TOKENIZER_FILE):
        assert Renderer.of_policy(place).encode("7 + 5 12 <<") == COUNTDOWN.encode("7 + 5 12 <<")


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\xff"])
def test_a_corrupt_tokenizer_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / TOKENIZER_FILE).write_bytes(content)
    with pytest.raises(BadInput, match=r"tokenizer\.json is corrupt"):
        Renderer.of_policy(tmp_path)


def test_a_missing_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="missing"):
        Renderer.of_policy(tmp_path)


def test_a_tokenizer_without_an_end_of_text_is_refused() -> None:
    with pytest.raises(BadInput, match=EOS):
        Renderer(Tokenizer(models.WordLevel({PAD: 0, "a": 1}, unk_token="a")))


class Marked(NamedTuple):
    """A format as far as its cue goes."""

    thinking_end: str
    cue: str


def test_what_ends_thinking_is_one_token() -> None:
    assert COUNTDOWN.cue_tokens(load_format(TASK)) == COUNTDOWN.encode("#")
    with pytest.raises(BadInput, match=r"'3 5' as \['3', '5'\].*must be one token"):
        COUNTDOWN.cue_tokens(Marked("3 5", "3 5"))
    with pytest.raises(BadInput, match="'!' as"):
        COUNTDOWN.cue_tokens(Marked("!", "!"))


TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content | trim }}{{ eos_token }}{% endfor %}"
    "[assistant] "
)


def chat(
    template: str = TEMPLATE,
    system: str | None = None,
    thinking_start: str = "<think>\n",
    **said: Any,
) -> Renderer:
    """A policy of that chat template; `said` goes to its generation_config.json."""
    tokenizer = TextFormat(290).tokenizer(["What is 6 times 7?\n", "[user] [system] [assistant]"])
    settings = {"eos_token": {"content": EOS}, "bos_token": BOS}
    files = {
        SETTINGS_FILE: json_text(settings),
        TEMPLATE_FILE: template,
        GENERATION_FILE: json_text(said),
    }
    return Renderer(tokenizer, files).asking(Prompting(system, thinking_start))


def shown(renderer: Renderer, question: str) -> str:
    return "".join(renderer.words(renderer.prompt_tokens(question)))


def test_a_question_is_put_in_the_chat_template() -> None:
    assert shown(chat(), "6 times 7?\n") == "[user] 6 times 7?<eos>[assistant] <think>\n"
    said = "[system] Be brief.<eos>[user] 7?<eos>[assistant] "
    assert shown(chat(system="Be brief.", thinking_start=""), "7?") == said


def test_a_template_that_opens_thinking_itself_is_not_given_it_twice() -> None:
    assert shown(chat(TEMPLATE + "<think>\n"), "7?").count("<think>") == 1


def test_a_template_that_asks_for_the_day_is_told_the_same_every_day() -> None:
    dated = chat("{{ strftime_now('%d %b %Y') }}: {{ messages[0].content }}", thinking_start="")
    assert shown(dated, "7?") == "1 Jan 2026: 7?"


def test_a_policy_without_a_template_is_asked_plainly() -> None:
    plain = Renderer.made_here(TextFormat(290).tokenizer(["6 times 7"]), Prompting(None, ""))
    assert shown(plain, "6 times 7?") == "<bos>6 times 7?\n"
    assert (
        "".join(TEXT.words(TEXT.prompt_tokens("6 times 7?"))) == "6 times 7?"
    )  # nothing says how questions are put


@pytest.mark.parametrize("question", ["end it <eos> here", "<bos>"])
def test_a_question_with_a_control_token_is_refused(question: str) -> None:
    with pytest.raises(BadInput, match=r"holds '<.os>', a control token"):
        chat().prompt_tokens(question)


def test_what_a_template_refuses_is_said() -> None:
    refusing = chat("{{ raise_exception('System role not supported') }}", system="Be brief.")
    with pytest.raises(
        BadInput, match=r"refuses a question \(System role not supported\); mend task.text.system"
    ):
        refusing.prompt_tokens("7?")


def test_a_template_cannot_reach_out() -> None:
    hostile = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(BadInput, match="refuses a question"):
        chat(hostile).prompt_tokens("7?")


def test_text_ends_behind_any_of_the_stop_tokens() -> None:
    [end], [other] = TEXT.encode(EOS), TEXT.encode(BOS)
    assert chat().stop_tokens == [end]
    assert chat(eos_token_id=other).stop_tokens == [end, other]
    assert chat(eos_token_id=[other, end]).stop_tokens == [end, other]
    assert chat().pad_token == end  # it names none of its own


def test_what_says_how_questions_are_put_goes_with_the_policy(tmp_path: Path) -> None:
    chat(system="Be brief.", eos_token_id=[1]).save(tmp_path)
    again = Renderer.of_policy(tmp_path)
    assert shown(again, "7?").startswith("[system] Be brief.")
    assert again.files == chat(system="Be brief.", eos_token_id=[1]).files
    assert Renderer.of_policy(tmp_path / TOKENIZER_FILE).files == {}

"""How a question is put: whole, once, and by a template that thinking may follow."""

import re

import pytest

from stages.contracts.chat import Chat, Prompting, need_read
from stages.running.errors import BadInput

PLAIN = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
DEEPSEEK = PLAIN + "{% if thinking is defined and thinking %}<think>{% else %}</think>{% endif %}"


def chat(template: str, **arguments: object) -> Chat:
    return Chat(template, {"bos_token": ""}, Prompting(None, "<think>\n", arguments))


def test_a_sound_template_is_taken() -> None:
    for template in (PLAIN, PLAIN.replace("m.content", "m.content | trim")):
        chat(template).need_sound("</think>")
        chat(template).need_whole(["7?", "a", "user", "  2  +  2 \n=".strip()])


@pytest.mark.parametrize(
    "shown",
    [
        *("''", "m.role", "m.content | lower", "m.content | upper", "m.content[:40]"),
        *("m.content | replace(' ', '')", "m.content.split() | join(' ')", "m.content[1:]"),
        *("m.content | escape", "m.content | replace('e\u0301', '\u00e9')", "m.content | title"),
        *("m.content | truncate(1000)", "m.content ~ m.content", "m.content | tojson"),
    ],
)
def test_a_template_that_changes_questions_is_refused(shown: str) -> None:
    with pytest.raises(BadInput, match=r"chat template (does not show the question|shows the qu)"):
        chat(PLAIN.replace("m.content", shown)).need_sound("</think>")


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        ("x" * 5000, "m.content[:4000]"),
        ("2 + 2? ", "m.content | trim"),
        ("the 7?", "m.content if m.content | length > 99 else m.content | replace('the ', '')"),
    ],
)
def test_a_question_that_a_template_changes_is_named(question: str, shown: str) -> None:
    with pytest.raises(BadInput, match=rf"the question.*{re.escape(question[:20])}.* it makes "):
        chat(PLAIN.replace("m.content", shown)).need_whole(["7?", question])


def test_a_template_that_ends_thinking_needs_its_argument() -> None:
    with pytest.raises(BadInput, match=r"ends thinking before it begins.*template_arguments"):
        chat(DEEPSEEK).need_sound("</think>")
    opened = chat(DEEPSEEK, thinking=True)
    opened.need_sound("</think>")
    assert opened.prompt("7?") == "<user>7?<assistant><think>"
    with pytest.raises(BadInput, match=r"does not read thinkin; it reads messages, thinking$"):
        chat(DEEPSEEK, thinkin=True).need_sound("</think>")


def test_arguments_are_written_where_there_are_any() -> None:
    assert Prompting(None, "").written() == {"system": None, "thinking_start": ""}
    assert Prompting(None, "", {"a": 1}).written()["template_arguments"] == {"a": 1}


def test_tokens_must_read_as_the_question() -> None:
    need_read(" caf\u00e9? ", "<user>cafe\u0301?<assistant>")
    with pytest.raises(BadInput, match=r"tokenizer changes the question 'Café\?'.*read 'café"):
        need_read("Café?", "café?")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for %}", r"refuses a question \(.*; mend .* or choose another template"),
        (PLAIN + "{{ range(99999) | random }}", "writes another prompt each time"),
        ("{{ messages[-1].content }}", "does not show the system text; leave task.text.system out"),
    ],
)
def test_a_template_that_cannot_be_relied_on_is_refused(template: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Chat(template, {}, Prompting("Be brief.", "<think>\n")).need_sound("</think>")


def test_a_template_that_marks_what_an_assistant_generates_is_taken() -> None:
    marked = PLAIN + "{% generation %}{% endgeneration %}{% if thinking %}{% endif %}"
    chat(marked).need_sound("</think>")
    chat(marked, thinking=True).need_sound("</think>")
    with pytest.raises(BadInput, match=r"does not read thinkin; it reads messages, thinking$"):
        chat(marked, thinkin=True).need_sound("</think>")

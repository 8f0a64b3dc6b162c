"""How a question is put to a policy: in its chat template, whole, and once."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from unicodedata import normalize

from stages.running.errors import BadInput

NO_DATE = "1 Jan 2026"
"""What a template that asks for today gets: prompts must not change overnight."""
SHOWN_CHARACTERS = 80
PROBE = (
    'Is  1½ + 2 = 3.5?\n\nSay «Yes» or NO, Élan, e\u0301lan, ﬁ, <b> & "it\'s";\t'
    + "a1 B2 c3 " * 200
    + "end."
)
"""A question that shows what a template does to one: capitals, blank lines, signs, and length."""


class Prompting(NamedTuple):
    """How a question is put: in the chat template, then `thinking_start`.

    It stands behind a system text where there is one. The template is given `template_arguments`.
    """

    system: str | None
    thinking_start: str
    template_arguments: Mapping[str, Any] = {}

    def written(self) -> dict[str, Any]:
        """As prompt.json holds it: arguments only where there are any."""
        return {name: value for name, value in self._asdict().items() if value != {}}


class Chat(NamedTuple):
    """A policy's template, and what it calls its control tokens."""

    template: str
    tokens: Mapping[str, str]
    prompting: Prompting

    def prompt(self, question: str) -> str:
        """The text of a prompt.

        Raises:
            BadInput: the template refuses the question, or does not show it whole and once.
        """
        text = self._rendered(question)
        if question.strip() not in text:
            raise BadInput(
                f"the policy's chat template does not show the question: of {_short(question)} it "
                f"makes {_around(text, question)}; choose a template that does"
            )
        start = self.prompting.thinking_start
        opened = start.strip() and text.rstrip().endswith(start.strip())
        return text if opened else text + start

    def need_sound(self, thinking_end: str) -> None:
        """Try the template on a question that shows what it does.

        Raises:
            BadInput: the question is not in the prompt whole and once, or the system text not at
                all; thinking is over before it begins; the template knows none of an argument that
                it is given, or writes something else each time.
        """
        arguments = {*self.prompting.template_arguments}
        unknown = sorted(arguments - self._names) if arguments else []
        if unknown:
            raise BadInput(
                f"params.yaml task.text.template_arguments: the chat template does not read "
                f"{', '.join(unknown)}; it reads {', '.join(sorted(self._names))}"
            )
        prompt = self.prompt(PROBE)
        if prompt.count(PROBE) > 1:
            raise BadInput(
                f"the policy's chat template shows the question {prompt.count(PROBE)} times; "
                "choose a template that shows it once"
            )
        if self.prompt(PROBE) != prompt:
            raise BadInput(
                "the policy's chat template writes another prompt each time that it is asked; "
                "choose a template that draws nothing at random"
            )
        if (system := self.prompting.system) and system.strip() not in prompt:
            raise BadInput(
                "the policy's chat template does not show the system text; leave task.text.system "
                "out, or choose a template that does"
            )
        behind = prompt.partition(PROBE)[2]
        if thinking_end in behind:
            raise BadInput(
                f"the policy's chat template ends thinking before it begins: behind the question "
                f"it writes {behind!r}; give it the argument that opens thinking, such as "
                "task.text.template_arguments: {enable_thinking: true}"
            )

    def need_whole(self, questions: Iterable[str]) -> None:
        """See that questions stand in their prompts with the space around them, and once.

        Raises:
            BadInput: one does not.
        """
        before, _, behind = self.prompt(PROBE).partition(PROBE)
        for question in questions:
            text = self.prompt(question)
            if text == before + question + behind:
                continue
            if text.count(question) != (before + behind).count(question) + 1:
                raise BadInput(
                    f"the policy's chat template changes the question {_short(question)}: it makes "
                    f"{_around(text, question)}; mend the question, or choose another template"
                )

    @property
    def _names(self) -> set[str]:
        """What the template reads from outside."""
        from jinja2 import meta
        from transformers.utils.chat_template_utils import _compile_jinja_template

        self._rendered(PROBE)  # refuses what is no template
        environment = _compile_jinja_template(self.template).environment  # knows `generation`
        return meta.find_undeclared_variables(environment.parse(self.template))

    def _rendered(self, question: str) -> str:
        from transformers.utils.chat_template_utils import render_jinja_template  # takes a second

        system = self.prompting.system
        above = [] if system is None else [{"role": "system", "content": system}]
        try:
            [text], _ = render_jinja_template(
                [[*above, {"role": "user", "content": question}]],
                chat_template=self.template,
                add_generation_prompt=True,
                strftime_now=lambda _: NO_DATE,
                **self.tokens,
                **self.prompting.template_arguments,
            )
        except Exception as error:  # jinja2 and the template itself raise what they like
            if isinstance(error, MemoryError):
                raise
            raise BadInput(
                f"the policy's chat template refuses a question ({error}); mend task.text.system, "
                "or choose another template"
            ) from None
        return str(text)


def need_read(question: str, prompt: str) -> None:
    """See that tokens of a prompt read as the question; a letter and its accent may be one sign.

    Raises:
        BadInput: they do not.
    """
    asked, read = normalize("NFC", question.strip()), normalize("NFC", prompt)
    if asked not in read:
        raise BadInput(
            f"the policy's tokenizer changes the question {_short(question)}: its tokens read "
            f"{_around(read, asked)}; mend the question, or choose a checkpoint whose tokenizer "
            "keeps texts as they are"
        )


def _short(text: str) -> str:
    more = "…" if len(text) > SHOWN_CHARACTERS else ""
    return repr(text[:SHOWN_CHARACTERS] + more)


def _around(text: str, question: str) -> str:
    """Where the text leaves the question: the longest beginning of it that is there, and on."""
    low, high = 0, len(question)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if question[:middle] in text else (low, middle - 1)
    start = text.find(question[:low]) if low else 0
    end = start + low
    return _short(text[max(0, end - SHOWN_CHARACTERS // 2) :])

"""Text to tokens, once, and tokens to text for verifiers and people.

Elsewhere tokens go in and tokens come out.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from tokenizers import Tokenizer

from stages.running import machine
from stages.running.errors import REMEDY, BadInput
from stages.running.publish import atomic

TOKENIZER_FILE, SETTINGS_FILE = "tokenizer.json", "tokenizer_config.json"
TEMPLATE_FILE, GENERATION_FILE, PROMPT_FILE = (
    "chat_template.jinja",
    "generation_config.json",
    "prompt.json",
)
COMPANIONS = (SETTINGS_FILE, TEMPLATE_FILE, GENERATION_FILE, PROMPT_FILE)
"""What beside tokenizer.json says how a policy's text is written; a new policy takes them over from
its parent.
"""
PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
PLAIN_TEMPLATE = "{{ bos_token }}{{ messages[-1]['content'] + '\\n' }}"
"""Of a policy that came without a chat template."""
NO_DATE = "1 Jan 2026"
"""What a template that asks for today gets: prompts must not change overnight."""


class Prompting(NamedTuple):
    """How a question is put: in the chat template, then `thinking_start`.

    It stands behind a system text where there is one.
    """

    system: str | None
    thinking_start: str


@runtime_checkable
class Cued(Protocol):
    """What a task's format says of its cue; see `stages.contracts.format.Format`."""

    @property
    def thinking_end(self) -> str:
        """The one token that the cue begins with."""
        ...

    @property
    def cue(self) -> str:
        """The text between thinking and answer."""
        ...


def json_text(value: Any) -> str:
    """Sorted, indented JSON."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


MADE_HERE = {
    SETTINGS_FILE: json_text(
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": PAD,
            "bos_token": BOS,
            "eos_token": EOS,
            "clean_up_tokenization_spaces": False,
        }
    )
}


class Renderer:
    """The tokenizer of a policy, how a question is put to it, and where its text ends.

    `files` holds the texts of `COMPANIONS`. Without any, as of a lone tokenizer.json, it only turns
    text into tokens and back.
    """

    def __init__(self, tokenizer: Tokenizer, files: Mapping[str, str] = MADE_HERE) -> None:
        self.files = dict(files)
        self.vocabulary_size: int = tokenizer.get_vocab_size()
        self._tokenizer = tokenizer
        self._token_texts: dict[int, str] = {}
        if self.files:
            assert self.pad_token is not None
            assert self.stop_tokens

    @classmethod
    def of_policy(cls, policy: Path) -> "Renderer":
        """Load the tokenizer of a policy folder with its companions, or a tokenizer.json itself.

        Raises:
            BadInput: a file is missing or corrupt.
        """
        path = policy if policy.is_file() else policy / TOKENIZER_FILE
        if not path.is_file():
            raise BadInput(f"{path} is missing; `dvc repro` makes it")
        try:
            return cls(Tokenizer.from_file(str(path)), read_companions(policy))
        except Exception as error:  # the tokenizers library raises bare Exception
            if machine.want(error):
                raise
            raise BadInput(f"{path} is corrupt ({error}); {REMEDY}") from None

    @classmethod
    def made_here(cls, tokenizer: Tokenizer, prompting: Prompting | None) -> "Renderer":
        """The renderer of a tokenizer that no checkpoint came with."""
        template = {} if prompting is None else {TEMPLATE_FILE: PLAIN_TEMPLATE}
        return cls(tokenizer, {**MADE_HERE, **template}).asking(prompting)

    def asking(self, prompting: Prompting | None) -> "Renderer":
        """The same, with questions put so.

        Without `prompting` a question is a text in the policy's own words.
        """
        kept = {name: text for name, text in self.files.items() if name != PROMPT_FILE}
        prompting_file = {} if prompting is None else {PROMPT_FILE: json_text(prompting._asdict())}
        return Renderer(self._tokenizer, {**kept, **prompting_file})

    @cached_property
    def pad_token(self) -> int:
        """What fills a batch; the end of text where the tokenizer has no token for it."""
        return self._special(self._named("pad_token") or self._named("eos_token") or PAD)

    @property
    def eos_token(self) -> int:
        """The end of text as demonstrations and known answers write it."""
        return self.stop_tokens[0]

    @cached_property
    def stop_tokens(self) -> list[int]:
        """Tokens behind any of which the policy's text has ended.

        The tokenizer's own end of text comes first.

        Raises:
            BadInput: there is none.
        """
        also = _json(self.files.get(GENERATION_FILE, "{}")).get("eos_token_id") or []
        named = self._named("eos_token")
        end_of_text = [] if named is None else [self._special(named)]
        tokens = list(dict.fromkeys([*end_of_text, *([also] if isinstance(also, int) else also)]))
        if not tokens:
            raise BadInput(
                f"neither {SETTINGS_FILE} nor {GENERATION_FILE} names an end of text; add "
                "eos_token to one"
            )
        return tokens

    def prompt_tokens(self, question: str) -> list[int]:
        """Tokens of a question as the policy is asked it.

        Raises:
            BadInput: the question holds a control token of this policy, or the chat template
                refuses it.
        """
        if PROMPT_FILE not in self.files:
            return self.encode(question)
        held = next((text for text in self._control_texts if text in question), None)
        if held is not None:
            raise BadInput(
                f"the question {question[:80]!r} holds {held!r}, a control token of this policy; "
                "leave that problem out"
            )
        return self.encode(self._rendered(question))

    def cue_tokens(self, form: Cued) -> list[int]:
        """Tokens of the cue; the first of them alone is what ends thinking.

        Raises:
            BadInput: that is not one token, or not where more text follows it.
        """
        marker, tokens = self.encode(form.thinking_end), self.encode(form.cue)
        if len(marker) != 1 or self.words(marker) != [form.thinking_end] or tokens[:1] != marker:
            raise BadInput(
                f"the tokenizer writes {form.thinking_end!r} as {self.words(marker)} and "
                f"{form.cue!r} as {self.words(tokens)}; what ends thinking must be one token: "
                "choose another task.text.thinking_end, or a checkpoint whose tokenizer has it"
            )
        return tokens

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; nothing is added at either end."""
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special ones left out."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def words(self, tokens: Sequence[int]) -> list[str]:
        """Each token as a word of its own, to show to people."""
        return [self._tokenizer.decode([token], skip_special_tokens=False) for token in tokens]

    def token_texts(self, tokens: Sequence[int]) -> list[str]:
        """What each token adds to the text, special ones nothing: to find where a segment ends."""
        for token in set(tokens) - self._token_texts.keys():
            self._token_texts[token] = self.decode([token])
        return [self._token_texts[token] for token in tokens]

    def save(self, folder: Path) -> None:
        """Write the Hugging Face tokenizer files into a policy folder, and their companions."""
        with atomic(folder / TOKENIZER_FILE) as beside:
            self._tokenizer.save(str(beside))
        for name, text in self.files.items():
            with atomic(folder / name) as beside:
                beside.write_text(text, encoding="utf-8")

    @cached_property
    def _control_texts(self) -> list[str]:
        added = self._tokenizer.get_added_tokens_decoder().values()
        return [token.content for token in added if token.special]

    def _rendered(self, question: str) -> str:
        from transformers.utils.chat_template_utils import render_jinja_template  # takes a second

        prompting = Prompting(**_json(self.files[PROMPT_FILE]))
        system = (
            [] if prompting.system is None else [{"role": "system", "content": prompting.system}]
        )
        chat = [*system, {"role": "user", "content": question}]
        names = {
            name: self._named(name) or ""
            for name in ("bos_token", "eos_token", "pad_token", "unk_token")
        }
        try:
            [text], _ = render_jinja_template(
                [chat],
                chat_template=self._template,
                add_generation_prompt=True,
                strftime_now=lambda _: NO_DATE,
                **names,
            )
        except Exception as error:  # jinja2 and the template itself raise what they like
            if isinstance(error, MemoryError):
                raise
            raise BadInput(
                f"the policy's chat template refuses a question ({error}); mend task.text.system"
            ) from None
        opened = (
            text.rstrip().endswith(prompting.thinking_start.strip())
            and prompting.thinking_start.strip()
        )
        return str(text) if opened else text + prompting.thinking_start

    @property
    def _template(self) -> str:
        inside = _json(self.files[SETTINGS_FILE]).get("chat_template")
        if isinstance(inside, list):
            inside = next((each["template"] for each in inside if each["name"] == "default"), None)
        return self.files.get(TEMPLATE_FILE) or inside or PLAIN_TEMPLATE

    def _named(self, role: str) -> str | None:
        """The text of the token that the tokenizer's settings give a role."""
        value = _json(self.files.get(SETTINGS_FILE, "{}")).get(role)
        return value["content"] if isinstance(value, dict) else value

    def _special(self, token: str) -> int:
        index = self._tokenizer.token_to_id(token)
        if index is None:
            raise BadInput(f"the tokenizer has no {token} token, which {SETTINGS_FILE} names")
        return int(index)


def read_companions(folder: Path) -> dict[str, str]:
    """The texts of what stands beside a tokenizer.json."""
    return {
        name: (folder / name).read_text(encoding="utf-8")
        for name in COMPANIONS
        if (folder / name).is_file()
    }


def _json(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise BadInput(f"no JSON object but {text[:40]!r} beside {TOKENIZER_FILE}")
    return value

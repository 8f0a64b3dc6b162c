"""Text to tokens, once, and tokens to text for verifiers and people.

Elsewhere tokens go in and tokens come out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

from tokenizers import Tokenizer

from stages.contracts.chat import Chat, Prompting, need_read
from stages.contracts.companions import (
    GENERATION_FILE,
    PLAIN_TEMPLATE,
    PROMPT_FILE,
    SETTINGS_FILE,
    TEMPLATE_FILE,
    TOKENIZER_FILE,
    chosen_template,
    json_object,
    json_text,
    need_tokens,
    num_embeddings,
    read_companions,
)
from stages.running.errors import REMEDY, BadInput, lack_of
from stages.running.publish import atomic

TEMPLATE_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")
PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"


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

    def __init__(
        self,
        tokenizer: Tokenizer,
        files: Mapping[str, str] = MADE_HERE,
        num_embeddings: int = 0,
    ) -> None:
        tokenizer.no_truncation()  # a call's settings that were saved with it, which cut prompts
        tokenizer.no_padding()
        self.files = dict(files)
        self._tokenizer = tokenizer
        self._num_embeddings = num_embeddings
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
            size = 0 if policy.is_file() else num_embeddings(policy)
            return cls(Tokenizer.from_file(str(path)), read_companions(policy), size)
        except BadInput:
            raise
        except Exception as error:  # the tokenizers library raises bare Exception
            if lack_of(error):
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
        prompting_file = {} if prompting is None else {PROMPT_FILE: json_text(prompting.written())}
        return Renderer(self._tokenizer, {**kept, **prompting_file}, self._num_embeddings)

    @cached_property
    def vocabulary_size(self) -> int:
        """One more than the largest token that the policy may write or the tokenizer knows.

        Ids may have gaps, and a policy may have more embeddings than its tokenizer has tokens:
        what it writes by those decodes to nothing.
        """
        largest = max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
        return max(int(largest) + 1, self._num_embeddings)

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
        also = self._ends_of_generation
        named = self._named("eos_token")
        end_of_text = [] if named is None else [self._special(named)]
        tokens = list(dict.fromkeys([*end_of_text, *also]))
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
        held = next((text for text in self.special_tokens.values() if text in question), None)
        if held is not None:
            raise BadInput(
                f"the question {question[:80]!r} holds {held!r}, a control token of this policy; "
                "leave that problem out"
            )
        return self.encode(self.chat.prompt(question))

    def need_whole_prompts(self, thinking_end: str, questions: Iterable[str]) -> None:
        """Try how questions are put: each is in its prompt as it stands, and in its tokens.

        Raises:
            BadInput: one is not; names the difference.
        """
        self.chat.need_sound(thinking_end)
        self.chat.need_whole(questions)
        for question in questions:
            need_read(question, self.text(self.prompt_tokens(question)))

    def cue_tokens(self, form: Cued) -> list[int]:
        """Tokens of the cue; the first of them alone is what ends thinking.

        Raises:
            BadInput: that is not one token, or not where more text follows it.
        """
        marker, tokens = (
            self.encode(form.thinking_end),
            exact_tokens(form.cue, self.encode, self.text),
        )
        if len(marker) != 1 or self.words(marker) != [form.thinking_end] or tokens[:1] != marker:
            raise BadInput(
                f"the tokenizer writes {form.thinking_end!r} as {self.words(marker)} and "
                f"{form.cue!r} as {self.words(tokens)}; what ends thinking must be one token: "
                "choose another task.text.thinking_end, or a checkpoint whose tokenizer has it"
            )
        if (written := self.text(tokens)) != form.cue:
            raise BadInput(
                f"the tokenizer writes the cue {form.cue!r} as {self.words(tokens)}, which reads "
                f"{written!r}; choose another task.text.answer_start"
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

    def text(self, tokens: Sequence[int]) -> str:
        """Text of tokens, control tokens too."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=False)
        return text

    @property
    def is_of_words(self) -> bool:
        """Whether a token's text is the same behind any other: no decoder puts them together."""
        return self._tokenizer.decoder is None

    def save(self, folder: Path) -> None:
        """Write the Hugging Face tokenizer files into a policy folder, and their companions."""
        with atomic(folder / TOKENIZER_FILE) as beside:
            self._tokenizer.save(str(beside))
        for name, text in self.files.items():
            with atomic(folder / name) as beside:
                beside.write_text(text, encoding="utf-8")

    @cached_property
    def special_tokens(self) -> dict[int, str]:
        """Control tokens and their texts."""
        added = self._tokenizer.get_added_tokens_decoder().items()
        return {index: token.content for index, token in added if token.special}

    @cached_property
    def chat(self) -> Chat:
        """How questions are put to a policy that has a `PROMPT_FILE`."""
        return Chat(
            self._template,
            {name: self._named(name) or "" for name in TEMPLATE_TOKENS},
            Prompting(**json_object(self.files[PROMPT_FILE], PROMPT_FILE)),
        )

    @property
    def _template(self) -> str:
        settings = json_object(self.files[SETTINGS_FILE], SETTINGS_FILE)
        inside = settings.get("chat_template")
        return chosen_template(self.files.get(TEMPLATE_FILE), inside, SETTINGS_FILE)

    @property
    def _ends_of_generation(self) -> list[int]:
        """The ends of text that the settings of generation name.

        Raises:
            BadInput: one is no token of the tokenizer's.
        """
        said = json_object(self.files.get(GENERATION_FILE, "{}"), GENERATION_FILE)
        return need_tokens(self._tokenizer, said.get("eos_token_id"), GENERATION_FILE)

    def _named(self, role: str) -> str | None:
        """The text of the token that the tokenizer's settings give a role."""
        value = json_object(self.files.get(SETTINGS_FILE, "{}"), SETTINGS_FILE).get(role)
        value = value.get("content") if isinstance(value, dict) else value
        if value is not None and not isinstance(value, str):
            raise BadInput(f"{SETTINGS_FILE} has a {role} that is no text: {value!r:.80}")
        return value

    def _special(self, token: str) -> int:
        index = self._tokenizer.token_to_id(token)
        if index is None:
            raise BadInput(f"the tokenizer has no {token} token, which {SETTINGS_FILE} names")
        return int(index)


def exact_tokens(
    text: str, encode: Callable[[str], list[int]], decode: Callable[[Sequence[int]], str]
) -> list[int]:
    """Tokens that read as the text, where leaving one out of its own gives such.

    Some tokenizers put a space before what follows a control token; it is no part of the text.
    """
    tokens = encode(text)
    shorter = (tokens[:place] + tokens[place + 1 :] for place in range(len(tokens)))
    return next((each for each in (tokens, *shorter) if decode(each) == text), tokens)

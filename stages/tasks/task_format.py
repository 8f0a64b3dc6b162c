"""How a task's text is written: its marks, its prompts and its tokens."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from tokenizers import Tokenizer

from stages.contracts.chat import Prompting
from stages.contracts.format import Format


@runtime_checkable
class TaskFormat(Protocol):
    """How a task's text is written: its marks (`stages.contracts.format`), prompts and tokens.

    `prompting` says how a text task's questions are put; a task without it writes its prompts in
    full. `token_values` gives the numbers that words stand for, so that their embeddings start out
    ordered; empty where words are opaque.
    """

    thinking_end: str
    cue: str
    segment_ends: Sequence[str]
    self_verdicts: Mapping[str, bool]
    judge_words: tuple[str, str]
    prompting: Prompting | None
    token_values: Mapping[str, float]

    def tokenizer(self, texts: Iterable[str]) -> Tokenizer:
        """A tokenizer for this text; `texts` is what it may be trained on."""
        ...


def marks_of(form: TaskFormat) -> Format:
    """The marks of a task's text, apart from how they are made."""
    return Format(
        thinking_end=form.thinking_end,
        cue=form.cue,
        segment_ends=tuple(form.segment_ends),
        self_verdicts=dict(form.self_verdicts),
        judge_words=form.judge_words,
    )

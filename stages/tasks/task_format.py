"""How a task's text is written: its marks, its prompts and its tokens."""

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from tokenizers import Tokenizer

from stages.contracts.chat import Prompting
from stages.tasks.marks import Marks


@runtime_checkable
class TaskFormat(Marks, Protocol):
    """How a task's text is written: its marks (`stages.tasks.marks`), prompts and tokens.

    `prompting` says how a text task's questions are put; a task without it writes its prompts in
    full. `token_values` gives the numbers that words stand for, so that their embeddings start out
    ordered; empty where words are opaque.
    """

    prompting: Prompting | None
    token_values: Mapping[str, float]

    def tokenizer(self, texts: Iterable[str]) -> Tokenizer:
        """A tokenizer for this text; `texts` is what it may be trained on."""
        ...

"""Plain text to tokens, for tasks without an alphabet of their own."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from stages.contracts.chat import Prompting
from stages.contracts.params.task import ChatText, Text
from stages.running.errors import BadInput
from stages.tasks.marks import SPECIAL, ChatMarks, TextMarks
from stages.tasks.task_format import TaskFormat


def load_text_format(params: Text) -> TaskFormat:
    """The format that a text task's `text` in params.yaml describes."""
    return (
        ChatFormat(params) if isinstance(params, ChatText) else TextFormat(params.vocabulary_size)
    )


class TextFormat(TextMarks):
    """Bytes merged into `vocabulary_size` tokens; any text comes back exactly.

    The cue and the end of a segment are one token each, and no text around them can change that.
    """

    prompting: Prompting | None = Prompting(system=None, thinking_start="")
    token_values: Mapping[str, float] = {}

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size

    def tokenizer(self, texts: Iterable[str]) -> Tokenizer:
        """A byte-level BPE trained on `texts`.

        Smaller than `vocabulary_size` where they hold too little to merge.
        """
        markers = (self.cue, *self.segment_ends)
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary_size - len(markers),
            special_tokens=list(SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(_without(texts, (*SPECIAL, *markers)), trainer)
        tokenizer.add_tokens([AddedToken(marker, normalized=False) for marker in markers])
        return tokenizer


class ChatFormat(ChatMarks):
    """As an existing checkpoint tokenizes it."""

    token_values: Mapping[str, float] = {}

    def __init__(self, params: ChatText) -> None:
        super().__init__(params)
        self.prompting: Prompting | None = Prompting(
            params.system, params.thinking_start, params.template_arguments
        )

    def tokenizer(self, texts: Iterable[str]) -> Tokenizer:
        """Never: the checkpoint brings its own."""
        del texts
        raise BadInput(
            "params.yaml task.text: kind chat needs a checkpoint, which brings its tokenizer"
        )


def _without(texts: Iterable[str], markers: Sequence[str]) -> Iterator[str]:
    """The texts cut at the markers: training would waste merges on what is a token anyway."""
    anywhere = re.compile("|".join(map(re.escape, markers)))
    for text in texts:
        yield from anywhere.split(text)

"""How each task's text is tokenized. See `stages.tasks.task_format.TaskFormat`."""

from collections.abc import Iterable, Mapping, Sequence

from tokenizers import Tokenizer, models, pre_tokenizers

from stages.contracts.chat import Prompting
from stages.contracts.params.task import CountdownTask, ModularTask, TaskParams
from stages.tasks.arithmetic import OPERATORS
from stages.tasks.marks import SPECIAL, CountdownMarks, ModularMarks
from stages.tasks.task_format import TaskFormat

UNKNOWN = "<unk>"


def load_format(params: TaskParams) -> TaskFormat:
    """The text format of the task that params.yaml names."""
    if isinstance(params, CountdownTask):
        return CountdownFormat(params)
    if isinstance(params, ModularTask):
        return ModularFormat(params)
    from stages.tasks.text_format import load_text_format

    return load_text_format(params.text)


class CountdownFormat(CountdownMarks):
    """One token a word."""

    prompting: Prompting | None = None

    def __init__(self, params: CountdownTask) -> None:
        numbers = range(params.max_result + 1)
        self.token_values: Mapping[str, float] = {
            **{str(n): float(n) for n in numbers},
            **{f"T{n}": float(n) for n in numbers},
        }

    def tokenizer(self, texts: Iterable[str]) -> Tokenizer:
        """A fixed vocabulary; `texts` is not needed."""
        del texts
        return _word_tokenizer([":", self.cue, *OPERATORS, *self.segment_ends, *self.token_values])


class ModularFormat(ModularMarks):
    """One token a word, one word a residue."""

    prompting: Prompting | None = None

    def __init__(self, params: ModularTask) -> None:
        self.token_values: Mapping[str, float] = {
            str(n): float(n) for n in range(params.modulus + 1)
        }

    def tokenizer(self, texts: Iterable[str]) -> Tokenizer:
        """A fixed vocabulary; `texts` is not needed."""
        del texts
        return _word_tokenizer([":", self.cue, "*", "mod", *self.segment_ends, *self.token_values])


def _word_tokenizer(words: Sequence[str]) -> Tokenizer:
    """One token for each word between spaces, in this order behind the special ones."""
    special = [*SPECIAL, UNKNOWN]
    vocabulary = {word: index for index, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(special)
    return tokenizer

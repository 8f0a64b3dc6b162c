"""How each task's text is written and tokenized. See `stages.tasks.task.Format`."""

from collections.abc import Iterable, Mapping, Sequence

from tokenizers import Tokenizer, models, pre_tokenizers

from stages.contracts.chat import Prompting
from stages.contracts.params.task import CountdownTask, ModularTask, TaskParams
from stages.tasks.arithmetic import OPERATORS
from stages.tasks.task_format import TaskFormat

HIT, BELOW, FAR_BELOW, ABOVE, FAR_ABOVE = "=", "<", "<<", ">", ">>"
UNJUDGED = "|"
MISS = "!="
SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>"]


def load_format(params: TaskParams) -> TaskFormat:
    """The text format of the task that params.yaml names."""
    if isinstance(params, CountdownTask):
        return CountdownFormat(params)
    if isinstance(params, ModularTask):
        return ModularFormat(params)
    from stages.tasks.text_format import load_text_format

    return load_text_format(params.text)


class CountdownFormat:
    """One token a word.

    prompt      <bos> 3 5 7 T36 :
    segment     7 + 5 12 12 * 3 36 =        an attempt, then the policy's own verdict on it
    answer      # 7 + 5 12 12 * 3 36 <eos>

    The verdict says where the attempt's result lies: `=` on target, `<` a little below, `<<` far
    below, `>` and `>>` above. A signed distance is learnt where a plain yes or no is not. `|`
    closes an attempt without a verdict.
    """

    cue = thinking_end = "#"
    segment_ends: Sequence[str] = (HIT, BELOW, FAR_BELOW, ABOVE, FAR_ABOVE, UNJUDGED)
    self_verdicts: Mapping[str, bool] = {
        mark: mark == HIT for mark in segment_ends if mark != UNJUDGED
    }
    prompting: Prompting | None = None
    judge_words = (HIT, BELOW)

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


class ModularFormat:
    """One token a word, one word a residue.

    prompt      <bos> 3 * 5 * 7 mod 23 : segment     11 !=                       an attempt, then
    the policy's own verdict on it, right or wrong answer      # 13 <eos>

    The verdict does not say how far off an attempt lies, which would tell of the answer.
    """

    cue = thinking_end = "#"
    segment_ends: Sequence[str] = (HIT, MISS)
    self_verdicts: Mapping[str, bool] = {HIT: True, MISS: False}
    prompting: Prompting | None = None
    judge_words = (HIT, MISS)

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
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer

"""How each task's text is written and tokenized. See `stages.tasks.task.Format`."""

from collections.abc import Iterable, Mapping, Sequence

from tokenizers import Tokenizer, models, pre_tokenizers

from stages.contracts.task_params import CountdownTask, TaskParams
from stages.tasks.arithmetic import OPERATORS
from stages.tasks.task import Format

HIT, BELOW, FAR_BELOW, ABOVE, FAR_ABOVE = "=", "<", "<<", ">", ">>"
SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>"]


def load_format(params: TaskParams) -> Format:
    """The text format of the task that params.yaml names."""
    if isinstance(params, CountdownTask):
        return CountdownFormat(params)
    from stages.tasks.text_format import TextFormat

    return TextFormat(params.vocabulary_size)


class CountdownFormat:
    """One token a word.

    prompt      <bos> 3 5 7 T36 :
    segment     7 + 5 12 12 * 3 36 =        an attempt, then the policy's own verdict on it
    answer      # 7 + 5 12 12 * 3 36 <eos>

    The verdict says where the attempt's result lies: `=` on target, `<` a little below, `<<` far below, `>` and `>>`
    above. A signed distance is learnt where a plain yes or no is not.
    """

    cue = "#"
    segment_ends: Sequence[str] = (HIT, BELOW, FAR_BELOW, ABOVE, FAR_ABOVE)
    self_verdicts: Mapping[str, bool] = {mark: mark == HIT for mark in segment_ends}

    def __init__(self, params: CountdownTask) -> None:
        numbers = range(params.max_result + 1)
        self.token_values: Mapping[str, float] = {
            **{str(n): float(n) for n in numbers},
            **{f"T{n}": float(n) for n in numbers},
        }

    def tokenizer(self, texts: Iterable[str]) -> Tokenizer:
        """A fixed vocabulary; `texts` is not needed."""
        del texts
        words = [*SPECIAL, ":", self.cue, *OPERATORS, *self.segment_ends, *self.token_values]
        vocabulary = {word: index for index, word in enumerate(words)}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer.add_special_tokens(SPECIAL)
        return tokenizer

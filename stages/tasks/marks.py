"""How each task's text is marked: what closes a segment, what asks for the answer.

How it becomes tokens, and how its questions are put, is apart (`stages.tasks.formats`): who draws
problems or writes demonstrations needs to know none of that.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from stages.contracts.format import Format
from stages.contracts.params.task import ChatText, CountdownTask, ModularTask, TaskParams, Text

SPECIAL = ("<pad>", "<bos>", "<eos>")
"""Control tokens of a tokenizer that is made here, which stand in no task's text."""
HIT, BELOW, FAR_BELOW, ABOVE, FAR_ABOVE = "=", "<", "<<", ">", ">>"
UNJUDGED = "|"
MISS = "!="


@runtime_checkable
class Marks(Protocol):
    """The marks of a task's text: see `stages.contracts.format.Format`."""

    thinking_end: str
    cue: str
    segment_ends: Sequence[str]
    self_verdicts: Mapping[str, bool]
    judge_words: tuple[str, str]


def load_marks(params: TaskParams) -> Marks:
    """The marks of the task that params.yaml names."""
    if isinstance(params, CountdownTask):
        return CountdownMarks()
    if isinstance(params, ModularTask):
        return ModularMarks()
    return text_marks(params.text)


def text_marks(params: Text) -> Marks:
    """The marks that a text task's `text` in params.yaml describes."""
    return ChatMarks(params) if isinstance(params, ChatText) else TextMarks()


def marks_of(form: Marks) -> Format:
    """The marks of a task's text, apart from how they are made."""
    return Format(
        thinking_end=form.thinking_end,
        cue=form.cue,
        segment_ends=tuple(form.segment_ends),
        self_verdicts=dict(form.self_verdicts),
        judge_words=form.judge_words,
    )


class CountdownMarks:
    """Words between spaces.

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
    judge_words = (HIT, BELOW)


class ModularMarks:
    """Words between spaces, one a residue.

    prompt      <bos> 3 * 5 * 7 mod 23 :
    segment     11 !=                       an attempt, then the policy's own verdict on it
    answer      # 13 <eos>

    The verdict does not say how far off an attempt lies, which would tell of the answer.
    """

    cue = thinking_end = "#"
    segment_ends: Sequence[str] = (HIT, MISS)
    self_verdicts: Mapping[str, bool] = {HIT: True, MISS: False}
    judge_words = (HIT, MISS)


class TextMarks:
    r"""Plain text.

    prompt      <bos>What is 6 times 7?\n
    segment     Six sevens are forty-two.\n\n
    answer      <answer>42<eos>

    No reasoning-gym question holds this cue; some hold `####`.
    """

    cue = thinking_end = "<answer>"
    segment_ends: Sequence[str] = ("\n\n",)
    self_verdicts: Mapping[str, bool] = {}
    judge_words = (" yes", " no")


class ChatMarks:
    r"""As an existing checkpoint writes it.

    prompt      <|im_start|>user\nWhat is 6 times 7?<|im_end|>\n<|im_start|>assistant\n<think>\n
    segment     Six sevens are forty-two.\n\n
    answer      </think>\n\n42<|im_end|>
    """

    self_verdicts: Mapping[str, bool] = {}
    judge_words = (" yes", " no")

    def __init__(self, params: ChatText) -> None:
        self.thinking_end = params.thinking_end
        self.cue = params.thinking_end + params.answer_start
        self.segment_ends: Sequence[str] = params.segment_ends

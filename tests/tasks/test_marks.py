"""The marks of a text are those its tokenizer is made for."""

import pytest

from fixtures.tasks import countdown_task, mathematics_task
from stages.contracts.params.task import ChatText, ModularTask, ModularTier, TaskParams
from stages.contracts.render import BOS, EOS, PAD
from stages.tasks.formats import load_format
from stages.tasks.marks import SPECIAL, load_marks, marks_of

MODULAR = ModularTask(
    name="modular",
    seed=1,
    modulus=23,
    heldout_bucket=0,
    tiers=[ModularTier(num_factors=2, num_train=1, num_heldout=1, num_reserved=0)],
)
CHAT = ChatText(
    kind="chat",
    system=None,
    thinking_start="<think>\n",
    thinking_end="</think>",
    answer_start="\n\n",
    segment_ends=["\n\n", ". "],
)


@pytest.mark.parametrize(
    "task",
    [
        countdown_task(),
        MODULAR,
        mathematics_task(),
        mathematics_task().model_copy(update={"text": CHAT}),
    ],
    ids=["countdown", "modular", "text", "chat"],
)
def test_marks_are_those_of_the_format(task: TaskParams) -> None:
    assert marks_of(load_marks(task)) == marks_of(load_format(task))


def test_a_chat_is_marked_as_params_say() -> None:
    marks = load_marks(mathematics_task().model_copy(update={"text": CHAT}))
    assert (marks.thinking_end, marks.cue) == ("</think>", "</think>\n\n")
    assert [*marks.segment_ends] == ["\n\n", ". "]


def test_control_tokens_are_those_of_a_tokenizer_that_is_made_here() -> None:
    assert SPECIAL == (PAD, BOS, EOS)


def test_only_a_hit_claims_to_be_right() -> None:
    claims = load_marks(countdown_task()).self_verdicts
    assert [mark for mark, is_right in claims.items() if is_right] == ["="]
    assert "|" not in claims

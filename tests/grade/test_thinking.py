"""What an exam's thinking came to: attempts verified, repeats, and verdicts of the policy's own."""

import pytest

from stages.contracts.params.task import TaskParams
from stages.grade.thinking import Thought, count, look
from stages.tasks.marks import marks_of
from stages.tasks.task import Problem
from stages.verifiers.isolated import open_verifiers
from tests.exam_world import FORM, RIGHT, SETTINGS, WRONG

TASK: TaskParams = SETTINGS.task
PROBLEM = Problem(
    "h0", "heldout", 3, "<bos> 3 7 5 T36 :", RIGHT, {"numbers": [3, 7, 5], "target": 36}, 0
)


def test_thoughts_by_hand() -> None:
    """The third repeats the first word for word; the last is cut short and claims nothing."""
    texts = [f"{WRONG} =", f"{RIGHT} <", f"{WRONG} =", RIGHT]
    with open_verifiers(TASK) as verifiers:
        silent, thoughts = look([PROBLEM, PROBLEM], [[], texts], marks_of(FORM), verifiers)
    assert silent == []
    assert thoughts == [
        Thought(is_hit=False, is_repeat=False, claim=True),
        Thought(is_hit=True, is_repeat=False, claim=False),
        Thought(is_hit=False, is_repeat=True, claim=True),
        Thought(is_hit=True, is_repeat=False, claim=None),
    ]
    assert count(thoughts) == {
        "num_segments": 4,
        "num_repeats": 1,
        "num_hits": 2,
        "num_judged_hits": 1,
        "num_judged_misses": 2,
        "num_false_negatives": 1,
        "num_false_positives": 2,
    }


@pytest.mark.parametrize("claim", [None, True, False])
def test_counts_of_one_thought(claim: bool | None) -> None:
    hit, miss = (count([Thought(is_hit, False, claim)]) for is_hit in (True, False))
    assert (hit["num_hits"], miss["num_hits"]) == (1, 0)
    assert hit["num_judged_hits"] == miss["num_judged_misses"] == int(claim is not None)
    assert hit["num_false_negatives"] == int(claim is False)
    assert miss["num_false_positives"] == int(claim is True)


def test_no_thought_counts_nothing() -> None:
    assert set(count([]).values()) == {0}

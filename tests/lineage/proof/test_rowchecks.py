"""Rewards against verdicts; what else rows must agree in is tried on a whole tree in test_tampering.py."""

import pyarrow as pa
import pytest

from lineage.proof.rowchecks import _rewards
from lineage.record.lock import Step

STEP = Step("score@i1", "", (), (), {})
NAMES = pa.chunked_array([["i1/p/0"]])


@pytest.mark.parametrize(
    ("verdict", "reward", "is_sound", "is_sound_in_parts"),
    [
        ("correct", 1.0, True, True),
        ("correct", 0.5, False, False),
        ("incorrect", 0.0, True, True),
        ("incorrect", 0.5, False, True),
        ("incorrect", 1.0, False, False),
        ("incorrect", -0.5, False, False),
        ("incorrect", None, False, False),
        ("unparsable", 0.5, False, False),
        ("timeout", None, True, True),
        ("error", 0.5, False, False),
    ],
)
def test_a_wrong_answer_earns_a_part_only_of_a_task_with_partial_credit(
    verdict: str, reward: float | None, is_sound: bool, is_sound_in_parts: bool
) -> None:
    judged = pa.table({"verdict": [verdict], "reward": pa.array([reward], pa.float32())})
    found = [[*_rewards(STEP, judged, NAMES, partial_credit=gives)] for gives in (False, True)]
    assert [not some for some in found] == [is_sound, is_sound_in_parts]

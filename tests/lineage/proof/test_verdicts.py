"""Rewards against verdicts, and these verdicts against those of the verifiers."""

import pyarrow as pa
import pytest

from lineage.answers.show import EXACT
from lineage.proof.verdicts import REWARDS, check_rewards
from lineage.record.lock import Step
from stages.contracts import verdict as contract

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
    rows = pa.table({"verdict": [verdict], "reward": pa.array([reward], pa.float32())})
    findings = [[*check_rewards(STEP, rows, NAMES, partial_credit=has)] for has in (False, True)]
    assert [not those for those in findings] == [is_sound, is_sound_in_parts]


def test_the_audit_knows_every_verdict_and_its_reward() -> None:
    """It imports no stage, so that its copy may not fall behind."""
    assert {verdict.value: verdict.reward for verdict in contract.Verdict} == REWARDS


def test_the_audit_knows_the_exact_judge() -> None:
    assert contract.EXACT == EXACT

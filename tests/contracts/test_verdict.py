"""A verdict's reward: a machine's failure is not the answer's."""

import pytest

from stages.contracts.verdict import EXACT, JUDGE_FILE, Verdict, Verification
from stages.engines import judging


@pytest.mark.parametrize(
    ("verdict", "reward"),
    [("correct", 1.0), ("incorrect", 0.0), ("unparsable", 0.0), ("timeout", None), ("error", None)],
)
def test_only_the_answer_earns(verdict: str, reward: float | None) -> None:
    assert Verdict(verdict).reward == reward


def test_every_verdict_has_its_reward() -> None:
    assert {verdict for verdict in Verdict if verdict.reward is None} == {"timeout", "error"}


def test_a_verification_may_pay_a_part() -> None:
    assert Verification(Verdict.INCORRECT, 0.25).reward == 0.25


def test_the_exact_judge_is_spelt_once() -> None:
    assert (judging.EXACT, judging.JUDGE_FILE) == (EXACT, JUDGE_FILE)

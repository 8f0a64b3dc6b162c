"""What an update was learnt from, by hand; that its token counts add up is in test_examples.py."""

import pytest

from stages.update.examples import assemble
from stages.update.metrics import composition
from tests.update.by_hand import known, on_tokens, update


def test_what_was_learnt_from_by_hand() -> None:
    """The cue token of the second rollout is not trained."""
    advantages = on_tokens("information")
    _, rows = assemble(known(), advantages, update("information"))
    composed = composition(known(), advantages, rows)
    shares = [*[1 / 3] * 2, *[0.5] * 2, *[0.0] * 2, *[0.6] * 3, 0.0, *[1.0, 1.0, 0.0] * 2]
    assert composed["mean_credit_frac"] == pytest.approx(sum(shares) / len(shares), abs=1e-12)
    assert composed["verdicts"] == {"false_positive_frac": 0.5, "false_negative_frac": 0.5}

"""TD(λ) targets lie between the next value and the reward."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.pure.returns import lambda_returns

CURVES = arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1))


def test_lambda_returns_by_hand() -> None:
    values = np.array([[0.1, 0.4, 0.6], [0.3, 0.9, 0.0]])
    targets = lambda_returns(values, np.array([1.0, 0.0]), np.array([3, 2]), td_lambda=0.5)
    assert targets[0] == pytest.approx([0.5 * 0.4 + 0.5 * 0.8, 0.5 * 0.6 + 0.5 * 1.0, 1.0])
    assert targets[1, :2] == pytest.approx([0.5 * 0.9 + 0.5 * 0.0, 0.0])


@given(CURVES, st.floats(0, 1))
def test_lambda_returns_go_from_the_next_value_to_the_reward(
    values: np.ndarray, reward: float
) -> None:
    rewards, num = np.array([reward]), np.array([len(values)])
    one_step = lambda_returns(values[None], rewards, num, td_lambda=0.0)[0]
    whole = lambda_returns(values[None], rewards, num, td_lambda=1.0)[0]
    assert one_step.tolist() == [*values[1:], reward]
    assert whole == pytest.approx(np.full(len(values), reward))

"""Which segments repeat, and what that costs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.objectives.arrays import Advantage
from stages.pure.objectives.repeats import is_repeat, less_repeats


def test_repeats_by_hand() -> None:
    """Of three alike two repeat; another rollout's are its own."""
    texts = [(1, 2), (1, 2), (3,), (1, 2), (1, 2), (3,)]
    repeats = is_repeat(texts, np.array([0, 0, 0, 0, 1, 1]))
    assert repeats.tolist() == [False, True, False, True, False, False]
    assert is_repeat([], np.zeros(0, dtype=int)).shape == (0,)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"))))
def test_what_does_not_repeat_is_each_text_once_a_rollout(rows: list[tuple[int, str]]) -> None:
    rows.sort(key=lambda row: row[0])
    rollout, texts = np.array([r for r, _ in rows], dtype=int), [text for _, text in rows]
    assert (~is_repeat(texts, rollout)).sum() == len({*rows})


def test_the_price_by_hand() -> None:
    advantage = Advantage(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    charged = less_repeats(advantage, np.array([False, True]), 0.25)
    assert charged.outcome.tolist() == [0.5, 0.5]
    assert charged.credit.tolist() == [1.0, -0.25]

"""The greedy rule, by hand; what it does in a trap is in tests/pure/test_enumerated.py."""

import numpy as np
from hypothesis import given

from stages.pure.objectives.myopic import myopic
from tests.pure.objectives.by_hand import (
    ARRAYS,
    AS_IT_IS,
    CENTRED,
    LISTS,
    NORMALIZED,
    OUTCOME,
    Rows,
    arrays_of,
    assert_advantage,
    made,
)


def test_myopic_by_hand() -> None:
    advantage = myopic(ARRAYS, alpha=0.5, **AS_IT_IS)
    assert_advantage(
        advantage, [0.25, 0.25, 0.5, -0.125, -0.25, -0.25], [-0.25, 0.75, 0, 0.25, 0, 0]
    )


def test_less_the_groups_mean_and_over_its_std_by_hand() -> None:
    centred = myopic(ARRAYS, alpha=1.0, **CENTRED)
    assert_advantage(centred, OUTCOME, [-0.5, 0.5, 0, 0, 0, 0])  # the mean is 1/4
    std = (0.5 / 3) ** 0.5
    divided = myopic(ARRAYS, alpha=1.0, **NORMALIZED)
    assert_advantage(divided, OUTCOME, [-0.5 / std, 0.5 / std, 0, 0, 0, 0])


@given(LISTS)
def test_what_comes_later_is_nothing_to_it(rows: Rows) -> None:
    segments = made(rows)
    arrays = arrays_of(segments, np.zeros(4))
    assert (myopic(arrays, 1.0, **AS_IT_IS).credit == segments.gain).all()

"""Tables as arrays: which segment is whose, what it gained, and how its attempt is graded."""

import numpy as np
import pyarrow as pa
import pytest

from stages.contracts.verdict import Verdict
from stages.update.round_tables import attempt_grades, floats
from tests.update.by_hand import NAN, known, update

TABLES = known()


def test_rollouts_of_a_problem_have_one_number() -> None:
    assert TABLES.groups.tolist() == [0, 0, 0, 1, 1]
    assert TABLES.rewards == pytest.approx([1, 0, NAN, 1, 1], nan_ok=True)


def test_segments_are_those_of_their_rollouts() -> None:
    segments = TABLES.segments
    assert segments.rollout.tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 4, 4]
    assert segments.group.tolist() == [0] * 6 + [1] * 4
    assert segments.start_tokens.tolist() == [0, 2, 4, 0, 3, 0, 0, 2, 0, 2]
    assert segments.end_tokens.tolist() == [2, 4, 6, 3, 5, 4, 2, 3, 2, 3]


def test_an_answer_has_no_gain() -> None:
    expected = [0.25, 0.5, NAN, -0.75, NAN, 0.0, 0.5, NAN, 0.25, NAN]
    assert TABLES.segments.gain == pytest.approx(expected, nan_ok=True)


def test_thinking_ends_where_the_rollout_says() -> None:
    expected = [True, True, False, True, False, True, True, False, True, False]
    assert TABLES.segments.is_thinking.tolist() == expected
    assert not TABLES.segments.is_stop.any()


def test_an_attempt_of_the_same_tokens_is_a_repeat() -> None:
    """The answer of the first rollout has those tokens too, and is none."""
    assert np.flatnonzero(TABLES.segments.is_repeat).tolist() == [1]


def test_the_reward_may_be_the_success_behind_the_last_segment() -> None:
    success = known(settings=update("outcome", reward="success"))
    assert success.rewards == pytest.approx([0.75, 0, NAN, 0.75, 0.5], nan_ok=True)
    assert np.isnan(success.segments.gain).all()  # which outcome does not read


def test_verdicts_become_grades() -> None:
    segments = TABLES.segments
    attempts, verdicts = segments.attempt_grade, segments.verdict_grade
    assert attempts == pytest.approx([0, 1, NAN, 1, NAN, NAN, NAN, NAN, 0, NAN], nan_ok=True)
    assert verdicts == pytest.approx([0, 1, NAN, 0, NAN, NAN, NAN, NAN, 1, NAN], nan_ok=True)
    assert np.flatnonzero(segments.is_attempt).tolist() == [0, 1, 3, 6, 8]
    claims = [1, 1, NAN, 0, NAN, NAN, 1, NAN, 0, NAN]
    assert TABLES.self_verdicts == pytest.approx(claims, nan_ok=True)


def test_every_verdict_has_its_own_reward() -> None:
    verdicts = pa.chunked_array([pa.array([*(verdict.value for verdict in Verdict), None])])
    rewards = [NAN if verdict.reward is None else verdict.reward for verdict in Verdict]
    assert attempt_grades(verdicts) == pytest.approx([*rewards, NAN], nan_ok=True)


def test_a_number_is_what_it_is_in_the_table() -> None:
    third = pa.chunked_array([pa.array([1 / 3, None], pa.float32())])
    assert floats(third)[0] == float(np.float32(1 / 3))
    assert np.isnan(floats(third)[1])

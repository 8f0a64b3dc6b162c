"""Each objective by hand on small groups, what it grades and what it must not, and the limits where
two are one.
"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.credit import group_normalized, group_scaled
from stages.pure.objectives import correction as correction_
from stages.pure.objectives import imitation as imitation_
from stages.pure.objectives import information as information_
from stages.pure.objectives import outcome as outcome_
from stages.pure.objectives import process as process_
from stages.pure.objectives import regret as regret_
from stages.pure.objectives import tokens as tokens_
from stages.pure.objectives.arrays import Advantage, Segments

NAN = float("nan")
AS_IT_IS = partial(group_scaled, baseline="none", normalize_by_std=False, std_epsilon=1e-4)
CENTRED = partial(group_scaled, baseline="group_mean", normalize_by_std=False, std_epsilon=1e-4)
NORMALIZED = partial(group_scaled, baseline="group_mean", normalize_by_std=True, std_epsilon=0.0)

# Three rollouts of one problem, four tokens a segment: two attempts and the answer; one attempt and
# the answer; an answer at once. The attempts miss, hit, and are lost by their verifier; the first
# is called right.
SEGMENTS = Segments(
    rollout=np.array([0, 0, 0, 1, 1, 2]),
    group=np.zeros(6, dtype=int),
    start_tokens=np.array([0, 4, 8, 0, 4, 0]),
    end_tokens=np.array([4, 8, 12, 4, 8, 4]),
    used_tokens=np.array([4, 8, 12, 4, 8, 4]),
    gain=np.array([-0.25, 0.75, NAN, 0.25, NAN, NAN]),
    is_attempt=np.array([True, True, False, True, False, False]),
    attempt_grade=np.array([0.0, 1.0, NAN, NAN, NAN, NAN]),
    verdict_grade=np.array([0.0, 1.0, NAN, NAN, NAN, NAN]),
)
OUTCOME = np.array([0.5, -0.25, -0.25])
REWARDS = np.array([1.0, 0.0, 1.0])
GROUPS = np.zeros(3, dtype=int)
LISTS = st.lists(
    st.tuples(st.integers(0, 3), st.floats(-1, 1), st.booleans()), min_size=1, max_size=24
)


def made(rows: list[tuple[int, float, bool]]) -> Segments:
    """Segments of up to four rollouts, of one problem, from (rollout, gain, is it an attempt)."""
    rollout, gain, is_attempt = (
        np.array(column) for column in zip(*sorted(rows, key=lambda r: r[0]), strict=True)
    )
    index = np.arange(len(rollout)) - np.searchsorted(rollout, rollout)
    grades = np.where(is_attempt, (gain > 0).astype(float), NAN)
    zeros = np.zeros(len(rollout), dtype=int)
    ends = 4 * index + 4
    return Segments(
        rollout, zeros, 4 * index, ends, gain, is_attempt, grades, 1 - grades, used_tokens=ends
    )


def assert_parts(found: Advantage, outcome: list[float], credit: list[float]) -> None:
    assert found.outcome == pytest.approx(outcome, abs=1e-12, nan_ok=True)
    assert found.credit == pytest.approx(credit, abs=1e-12)


def test_outcome_by_hand() -> None:
    found = outcome_.outcome_only(OUTCOME, SEGMENTS, alpha=2.0)
    assert_parts(found, [1.0, 1.0, 1.0, -0.5, -0.5, -0.5], [0.0] * 6)


@pytest.mark.parametrize(
    ("discount", "credit"),
    [
        (0.0, [-0.25, 0.75, 0, 0.25, 0, 0]),
        (1.0, [0.5, 0.75, 0, 0.25, 0, 0]),
        (0.5, [0.125, 0.75, 0, 0.25, 0, 0]),
    ],
)
def test_information_by_hand(discount: float, credit: list[float]) -> None:
    found = information_.information(OUTCOME, SEGMENTS, 0.5, discount, AS_IT_IS)
    assert_parts(found, [0.25, 0.25, 0.25, -0.125, -0.125, -0.125], credit)


def test_information_less_the_groups_mean_by_hand() -> None:
    found = information_.information(OUTCOME, SEGMENTS, 1.0, 0.0, CENTRED)
    assert_parts(
        found, [0.5, 0.5, 0.5, -0.25, -0.25, -0.25], [-0.5, 0.5, 0, 0, 0, 0]
    )  # the mean is 1/4


def test_information_over_the_groups_std_by_hand() -> None:
    found = information_.information(OUTCOME, SEGMENTS, 1.0, 0.0, NORMALIZED)
    std = (0.5 / 3) ** 0.5
    assert_parts(found, [0.5, 0.5, 0.5, -0.25, -0.25, -0.25], [-0.5 / std, 0.5 / std, 0, 0, 0, 0])


def test_regret_by_hand() -> None:
    found = regret_.regret(
        OUTCOME, SEGMENTS, 1.0, 0.5**0.25, 1.0, AS_IT_IS
    )  # half after each segment
    assert_parts(
        found, [0.5, 0.5, 0.5, -0.25, -0.25, -0.25], [-0.125 + 0.1875, 0.1875, 0, 0.125, 0, 0]
    )


def test_regret_counts_no_token_that_was_not_sampled() -> None:
    """A reply inside the first segment moves its end, and not the time that its gain came at."""
    longer = SEGMENTS._replace(end_tokens=np.array([9, 13, 17, 4, 8, 4]))
    plain = regret_.regret(OUTCOME, SEGMENTS, 1.0, 0.5, 1.0, AS_IT_IS)
    assert_parts(regret_.regret(OUTCOME, longer, 1.0, 0.5, 1.0, AS_IT_IS), *map(list, plain))


@given(LISTS, st.sampled_from([0.0, 1.0]))
def test_regret_without_a_discount_is_information(
    rows: list[tuple[int, float, bool]], discount: float
) -> None:
    segments, outcome = made(rows), np.linspace(-1, 1, 4)
    regret = regret_.regret(outcome, segments, 0.3, 1.0, discount, CENTRED)
    information = information_.information(outcome, segments, 0.3, discount, CENTRED)
    assert regret.outcome == pytest.approx(information.outcome, abs=1e-12)
    assert regret.credit == pytest.approx(information.credit, abs=1e-12)


def test_process_by_hand() -> None:
    """Attempts 0 and 1 normalise to -1 and 1, and so do their verdicts; the lost attempt has none."""
    found = process_.process(OUTCOME, SEGMENTS, 1.0, 1.0, NORMALIZED)
    assert_parts(found, [0.5, 0.5, 0.5, -0.25, -0.25, -0.25], [-2 + 2, 2, 0, 0, 0, 0])
    own = process_.process(OUTCOME, SEGMENTS, 1.0, 0.0, NORMALIZED)
    assert own.credit.tolist() == [-2, 2, 0, 0, 0, 0]


def test_a_segment_without_a_grade_contributes_nothing_and_gets_what_follows() -> None:
    ungraded = SEGMENTS._replace(
        attempt_grade=np.array([NAN, 1.0, NAN, 0.0, NAN, NAN]), verdict_grade=np.full(6, NAN)
    )
    found = process_.process(OUTCOME, ungraded, 1.0, 1.0, NORMALIZED)
    assert found.credit.tolist() == [1, 1, 0, -1, 0, 0]


def test_each_kind_of_grade_is_scaled_on_its_own() -> None:
    """Verdicts that are all true teach nothing, and attempts that all miss are not charged for
    their verdicts.
    """
    graded = SEGMENTS._replace(
        attempt_grade=np.array([0.0, 0.0, NAN, 0.0, NAN, NAN]),
        verdict_grade=np.array([1.0, 1.0, NAN, 1.0, NAN, NAN]),
    )
    assert (process_.process(OUTCOME, graded, 1.0, 1.0, CENTRED).credit == 0).all()


@given(LISTS)
def test_graded_rewards_of_a_group_sum_to_zero(rows: list[tuple[int, float, bool]]) -> None:
    found = process_.process(np.zeros(4), made(rows), 1.0, 0.0, CENTRED)
    assert found.credit.sum() == pytest.approx(0, abs=1e-9)


def test_the_first_attempt_ends_where_the_revision_begins() -> None:
    found = correction_.within_first_attempt(SEGMENTS.is_attempt, SEGMENTS.rollout)
    assert found.tolist() == [True, False, False, True, False, True]
    late = correction_.within_first_attempt(
        np.array([False, False, True, True]), np.zeros(4, dtype=int)
    )
    assert late.tolist() == [True, True, True, False]
    assert correction_.within_first_attempt(
        np.zeros(0, dtype=bool), np.zeros(0, dtype=int)
    ).shape == (0,)


@given(LISTS)
def test_every_rollout_begins_with_its_first_attempt_and_never_returns_to_it(
    rows: list[tuple[int, float, bool]],
) -> None:
    segments = made(rows)
    is_first = correction_.within_first_attempt(segments.is_attempt, segments.rollout)
    for rollout in np.unique(segments.rollout):
        mine, attempts = (
            is_first[segments.rollout == rollout],
            segments.is_attempt[segments.rollout == rollout],
        )
        assert mine[0]
        assert (np.diff(mine.astype(int)) <= 0).all()
        assert (mine & attempts).sum() == min(1, attempts.sum())


def test_improvement_by_hand() -> None:
    found = correction_.improvement(REWARDS, SEGMENTS)
    assert found[0] == 1.0
    assert np.isnan(found[1:]).all()  # its verifier was lost; it made no attempt
    broken = correction_.improvement(
        np.array([0.0, 0.5, NAN]), SEGMENTS._replace(attempt_grade=np.ones(6))
    )
    assert broken[:2].tolist() == [-1.0, -0.5]
    assert np.isnan(broken[2])


def test_correction_starts_on_the_revision_alone() -> None:
    found = correction_.correction_start(OUTCOME, SEGMENTS)
    assert_parts(found, [0, 0.5, 0.5, 0, -0.25, 0], [0.0] * 6)


def test_correction_by_hand() -> None:
    """Two rollouts: mended, with bonus 10; broken, with -10. The paper's shaped rewards differ by
    the same.
    """
    segments = Segments(
        rollout=np.array([0, 0, 1, 1]),
        group=np.zeros(4, dtype=int),
        start_tokens=np.array([0, 4, 0, 4]),
        end_tokens=np.array([4, 8, 4, 8]),
        used_tokens=np.array([4, 8, 4, 8]),
        gain=np.full(4, NAN),
        is_attempt=np.array([True, False, True, False]),
        attempt_grade=np.array([0.0, NAN, 1.0, NAN]),
        verdict_grade=np.full(4, NAN),
    )
    rewards, groups = np.array([1.0, 0.0]), np.zeros(2, dtype=int)
    outcome = group_normalized(rewards, groups, False, 1e-4)
    found = correction_.correction(outcome, rewards, groups, segments, 10.0, AS_IT_IS)
    assert_parts(found, [0.5, 0.5, -0.5, -0.5], [0, 10, 0, -10])
    plain = correction_.correction(outcome, rewards, groups, segments, 0.0, AS_IT_IS)
    assert_parts(plain, [0.5, 0.5, -0.5, -0.5], [0.0] * 4)


def test_where_the_improvement_is_unknown_there_is_no_bonus() -> None:
    found = correction_.correction(OUTCOME, REWARDS, GROUPS, SEGMENTS, 2.0, AS_IT_IS)
    assert_parts(found, [0.5, 0.5, 0.5, -0.25, -0.25, -0.25], [0, 2, 2, 0, 0, 0])


def test_progress_per_token_by_hand() -> None:
    assert imitation_.progress_per_token(SEGMENTS, np.array([8, 4, 0])).tolist() == [
        0.5 / 8,
        0.25 / 4,
        0.0,
    ]


def test_the_total_would_rank_by_the_last_boundary_alone() -> None:
    """Two ways from J = .1 to .9, in one segment and in three: their totals tie, their rates do
    not.
    """
    segments = made([(0, 0.8, True), (1, 0.0, True), (1, 0.5, True), (1, 0.3, True)])
    rates = imitation_.progress_per_token(segments, np.array([4, 12]))
    assert rates * [4, 12] == pytest.approx([0.8, 0.8], abs=1e-12)
    assert rates[0] > rates[1]


def test_imitated_by_hand() -> None:
    rewards = np.array([1, 1, 1, 0.9, 1, 0, 1, 1, NAN])
    groups = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    progress = np.array([0.1, 0.3, 0.2, 0.9, -0.5, 0.0, 0.4, 0.4, 0.9])
    half = imitation_.imitated(rewards, groups, progress, 0.5)
    assert np.flatnonzero(half).tolist() == [
        1,
        2,
        4,
        6,
    ]  # of three 2; the only one; of two equal the earlier
    assert np.flatnonzero(imitation_.imitated(rewards, groups, progress, 1.0)).tolist() == [
        0,
        1,
        2,
        4,
        6,
        7,
    ]
    assert not imitation_.imitated(rewards, groups, progress, 0.0).any()
    assert imitation_.imitated(np.zeros(0), np.zeros(0, dtype=int), np.zeros(0), 0.5).shape == (0,)


@given(LISTS, st.floats(0.01, 1))
def test_what_is_imitated_is_correct_and_no_worse_than_what_is_left(
    rows: list[tuple[int, float, bool]], keep_frac: float
) -> None:
    groups, progress, is_correct = (np.array(column) for column in zip(*rows, strict=True))
    is_kept = imitation_.imitated(is_correct.astype(float), groups, progress, keep_frac)
    assert not (is_kept & ~is_correct).any()
    for group in np.unique(groups[is_correct]):
        kept, left = (
            progress[(groups == group) & is_correct & chosen] for chosen in (is_kept, ~is_kept)
        )
        assert len(kept) == np.ceil(keep_frac * (len(kept) + len(left)))
        assert kept.min() >= left.max(initial=-np.inf)


def test_imitation_weighs_kept_rollouts_one() -> None:
    found = imitation_.imitation(
        np.array([True, False, False]), np.array([1.0, 1.0, NAN]), SEGMENTS
    )
    assert_parts(found, [1, 1, 1, 0, 0, NAN], [0.0] * 6)


def test_on_tokens_by_hand() -> None:
    parts = Advantage(np.array([0.5, 1.0, -1.0]), np.array([0.25, 0.0, 0.0]))
    segments = SEGMENTS._replace(
        rollout=np.array([0, 0, 1]),
        start_tokens=np.array([0, 2, 0]),
        end_tokens=np.array([2, 4, 1]),
    )
    is_sampled = [np.array([True, False, False, True]), np.array([True])]
    found = tokens_.on_tokens(parts, np.array([True, False, True]), segments, is_sampled)
    assert [tokens.tolist() for tokens in found.outcome] == [[0.5, 0.5, 1.0, 1.0], [-1.0]]
    assert [tokens.tolist() for tokens in found.credit] == [[0.25, 0.25, 0.0, 0.0], [0.0]]
    assert [tokens.tolist() for tokens in found.is_target] == [[True, False, False, True], [True]]
    assert [tokens.tolist() for tokens in found.is_anchored] == [
        [True, False, False, False],
        [True],
    ]


def test_a_group_with_one_outcome_teaches_by_progress_alone() -> None:
    outcome = group_normalized(np.ones(2), np.zeros(2, dtype=int), True, 1e-4)
    segments = made([(0, 0.1, True), (0, 0.5, True), (1, 0.0, True), (1, 0.6, True)])
    sparse = outcome_.outcome_only(outcome, segments, 1.0)
    assert not sparse.outcome.any()
    dense = information_.information(outcome, segments, 1.0, 0.0, CENTRED)
    assert_parts(dense, [0.0] * 4, [-0.2, 0.2, -0.3, 0.3])


def test_a_failed_verifier_leaves_nothing_to_learn() -> None:
    lost = np.array([NAN, 0.0, 0.0])
    for found in (
        outcome_.outcome_only(lost, SEGMENTS, 1.0),
        information_.information(lost, SEGMENTS, 1.0, 0.0, CENTRED),
        process_.process(lost, SEGMENTS, 1.0, 1.0, CENTRED),
        correction_.correction(lost, lost, GROUPS, SEGMENTS, 1.0, CENTRED),
    ):
        assert np.isnan((found.outcome + found.credit)[:3]).all()
        assert not np.isnan((found.outcome + found.credit)[3:]).any()

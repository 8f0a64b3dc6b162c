"""Advantages: groups by hand, and the algebra of docs/method.md shown with real gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.credit import (
    group_mean,
    group_normalized,
    group_range,
    is_one_outcome,
    length_penalized,
    scaled,
    spread,
    to_come,
)
from stages.pure.objectives.survival import geometric_survival

BINARY_GROUPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0])), min_size=1, max_size=24
)
SEGMENTS = st.lists(st.tuples(st.integers(0, 3), st.floats(-1, 1)), min_size=1, max_size=24)


def columns(pairs: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    groups, values = zip(*pairs, strict=True)
    return np.array(values), np.array(groups)


def test_group_mean_by_hand() -> None:
    values = np.array([1.0, 10.0, np.nan, 3.0, np.nan])
    assert group_mean(values, np.array([0, 1, 0, 0, 2])).tolist() == [2.0, 10.0, 2.0, 2.0, 0.0]
    assert group_mean(np.array([]), np.array([], dtype=int)).shape == (0,)


def test_group_normalized_by_hand() -> None:
    rewards = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    groups = np.array([0, 0, 0, 0, 1, 1])
    advantages = group_normalized(rewards, groups, normalize_by_std=True, std_epsilon=1e-4)
    third, whole = 0.25 / (0.4330127018922193 + 1e-4), 0.75 / (0.4330127018922193 + 1e-4)
    assert advantages == pytest.approx(
        [third, third, third, -whole, 0.5 / 0.5001, -0.5 / 0.5001], abs=1e-12
    )


def test_without_the_division_only_the_mean_goes() -> None:
    advantages = group_normalized(
        np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(4, dtype=int), False, 1e-4
    )
    assert advantages.tolist() == [0.75, -0.25, -0.25, -0.25]


def test_a_failed_verifier_counts_for_nothing_in_its_group() -> None:
    rewards = np.array([1.0, np.nan, 0.0, np.nan])
    advantages = group_normalized(
        rewards, np.array([0, 0, 0, 1]), normalize_by_std=True, std_epsilon=1e-4
    )
    assert np.isnan(advantages[[1, 3]]).all()
    assert advantages[[0, 2]] == pytest.approx([0.5 / 0.5001, -0.5 / 0.5001], abs=1e-12)


@pytest.mark.parametrize("reward", [0.0, 1.0])
@pytest.mark.parametrize("normalize_by_std", [True, False])
def test_a_group_of_equal_rewards_teaches_nothing(reward: float, normalize_by_std: bool) -> None:
    advantages = group_normalized(
        np.full(7, reward), np.zeros(7, dtype=int), normalize_by_std, 1e-4
    )
    assert (advantages == 0).all()


@given(BINARY_GROUPS, st.booleans())
def test_advantages_of_a_group_sum_to_zero(
    pairs: list[tuple[int, float]], normalize_by_std: bool
) -> None:
    rewards, groups = columns(pairs)
    advantages = group_normalized(rewards, groups, normalize_by_std, 1e-4)
    assert np.bincount(groups, weights=advantages) == pytest.approx(
        np.zeros(groups.max() + 1), abs=1e-9
    )


@given(BINARY_GROUPS, st.randoms())
def test_the_order_of_rollouts_means_nothing(
    pairs: list[tuple[int, float]], random: object
) -> None:
    rewards, groups = columns(pairs)
    order = np.array(sorted(range(len(pairs)), key=lambda _: random.random()))
    shuffled = group_normalized(rewards[order], groups[order], True, 1e-4)
    assert shuffled == pytest.approx(
        group_normalized(rewards, groups, True, 1e-4)[order], abs=1e-12
    )


def test_scaled_by_hand() -> None:
    values, groups = np.array([0.4, 0.0, -0.1, np.nan, 0.9]), np.array([0, 0, 0, 0, 1])
    known = [0, 1, 2, 4]
    assert scaled(values, groups, "none", "none", 0.5)[known].tolist() == [0.4, 0.0, -0.1, 0.9]
    centred = scaled(values, groups, "group_mean", "none", 0.5)
    assert centred[known] == pytest.approx([0.3, -0.1, -0.2, 0.0], abs=1e-12)
    divided = scaled(values, groups, "group_mean", "group", 0.5)
    std = (0.14 / 3) ** 0.5  # of (.3, -.1, -.2) about 0
    expected = np.array([0.3, -0.1, -0.2, 0.0]) / (std + 0.5)
    assert divided[known] == pytest.approx(expected, abs=1e-12)
    about_zero = scaled(values, groups, "none", "group", 0.5)
    rms = (0.17 / 3) ** 0.5
    expected = [0.4 / (rms + 0.5), 0, -0.1 / (rms + 0.5), 0.9 / 1.4]
    assert about_zero[known] == pytest.approx(expected, abs=1e-12)
    of_round = scaled(values, groups, "none", "round", 0.5)
    rms = (0.98 / 4) ** 0.5
    expected = np.array([0.4, 0, -0.1, 0.9]) / (rms + 0.5)
    assert of_round[known] == pytest.approx(expected, abs=1e-12)
    assert np.isnan([a[3] for a in (centred, divided, about_zero, of_round)]).all()


@given(SEGMENTS)
def test_less_its_mean_a_group_is_scaled_by_its_std(pairs: list[tuple[int, float]]) -> None:
    values, groups = columns(pairs)
    scaled_values = scaled(values, groups, "group_mean", "group", 1e-12)
    for group in np.unique(groups):
        if values[groups == group].std() > 1e-3:
            assert scaled_values[groups == group].std() == pytest.approx(1, abs=1e-6)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(-1e6, 1e6)), min_size=1, max_size=24),
    st.sampled_from(["none", "group_mean"]),
    st.sampled_from(["group", "round"]),
)
def test_nothing_scaled_exceeds_the_root_of_the_number(
    pairs: list[tuple[int, float]], baseline: str, scale: str
) -> None:
    values, groups = columns(pairs)
    over = np.bincount(groups)[groups] if scale == "group" else np.full(len(values), len(values))
    result = scaled(values, groups, baseline, scale, 1e-9)
    assert np.isfinite(result).all()
    assert (np.abs(result) <= np.sqrt(over) * (1 + 1e-12)).all()


@pytest.mark.parametrize("value", [0.3, -0.375, 1e-3])
@pytest.mark.parametrize("count", [1, 8])
def test_values_that_are_alike_become_one(value: float, count: int) -> None:
    alike, group = np.full(count, value), np.zeros(count, dtype=int)
    result = scaled(alike, group, "none", "group", 1e-4)
    assert result == pytest.approx(np.full(count, np.sign(value)), abs=0.1)
    assert scaled(0 * alike, group, "none", "group", 1e-4).tolist() == [0.0] * count


@given(
    st.floats(-1e3, 1e3),
    st.integers(1, 12),
    st.sampled_from([1e-9, 1e-4]),
    st.sampled_from(["none", "group", "round"]),
)
def test_equal_values_less_their_mean_are_exactly_zero(
    value: float, count: int, std_epsilon: float, scale: str
) -> None:
    alike, group = np.full(count, value), np.zeros(count, dtype=int)
    assert not scaled(alike, group, "group_mean", scale, std_epsilon).any()
    for is_divided in (True, False):
        assert not group_normalized(alike, group, is_divided, std_epsilon).any()


@pytest.mark.parametrize(("count", "std_epsilon"), [(3, 1e-4), (8, 1e-9)])
def test_equal_partial_credit_leaves_no_rounding(count: int, std_epsilon: float) -> None:
    """The sum of 0.1 three times, divided by three, is not 0.1."""
    rewards = np.full(count, 0.1)
    assert group_normalized(rewards, np.zeros(count, dtype=int), True, std_epsilon).tolist() == (
        [0.0] * count
    )


# A problem's gains as its rollouts made them; the second is an ordinary one.
ORDINARY = [[0.1, 0.5], [0.05, -0.1], [0.0, 0.1], [0.4]]


@pytest.mark.parametrize("gains", [[[0.3], [0.3], [0.3], [0.3]], [[-0.375], [], [], []]])
@pytest.mark.parametrize("baseline", ["none", "group_mean"])
def test_no_problem_outweighs_the_others_for_gaining_alike(
    gains: list[list[float]], baseline: str
) -> None:
    """One attempt a rollout, all of equal progress; one segment in the whole group."""
    sizes = [sum(map(len, problem)) for problem in (gains, ORDINARY)]
    values = np.array([gain for problem in (gains, ORDINARY) for row in problem for gain in row])
    groups = np.repeat([0, 1], sizes)
    credit = np.abs(scaled(values, groups, baseline, "group", 1e-4))
    assert credit[groups == 0].max() < credit[groups == 1].max()


def test_group_range_by_hand() -> None:
    lowest, highest = group_range(np.array([1.0, -1.0, np.nan, np.nan]), np.array([0, 0, 0, 1]))
    assert lowest.tolist() == [-1.0, np.inf]
    assert highest.tolist() == [1.0, -np.inf]


def test_one_outcome_by_hand() -> None:
    rewards = np.array([1.0, 1.0, 0.0, 0.0, 1.0, np.nan, np.nan, 0.25, 0.5, 0.0, np.nan])
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5])
    expected = [True, True, True, True, True, True, True, False, False, True, True]
    assert is_one_outcome(rewards, groups).tolist() == expected
    assert is_one_outcome(np.array([]), np.array([], dtype=int)).shape == (0,)


@given(BINARY_GROUPS)
def test_one_outcome_is_where_the_outcome_teaches_nothing(pairs: list[tuple[int, float]]) -> None:
    rewards, groups = columns(pairs)
    silent = np.abs(group_normalized(rewards, groups, True, 1e-4)) < 1e-9
    assert (is_one_outcome(rewards, groups) == silent).all()


def test_length_penalty_by_hand() -> None:
    rewards, thinking = np.array([1.0, 1.0, 0.0, np.nan]), np.array([0, 36, 72, 10])
    penalized = length_penalized(rewards, thinking, budget_tokens=72, penalty=0.25)
    assert penalized[:3].tolist() == [1.0, 0.875, -0.25]
    assert np.isnan(penalized[3])


def test_of_equal_answers_the_shorter_stream_wins() -> None:
    paid = length_penalized(np.ones(3), np.array([9, 18, 36]), 72, 0.1)
    advantages = group_normalized(paid, np.zeros(3, dtype=int), True, 1e-4)
    assert advantages[0] > advantages[1] > advantages[2]


GAINS = np.array(
    [0.5, -0.25, 0.125, np.nan, 1.0, np.nan]
)  # two rollouts; the last of each is its answer
ROLLOUTS = np.array([0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("discount", "expected"),
    [
        (1.0, [0.375, -0.125, 0.125, 1.0]),
        (0.5, [0.5 - 0.125 + 0.03125, -0.25 + 0.0625, 0.125, 1.0]),
    ],
)
def test_gains_to_come_by_hand(discount: float, expected: list[float]) -> None:
    credit = to_come(GAINS, ROLLOUTS, discount)
    assert credit[[0, 1, 2, 4]].tolist() == expected
    assert np.isnan(credit[[3, 5]]).all()


def test_a_lost_gain_adds_nothing_to_others() -> None:
    credit = to_come(np.array([0.5, np.nan, 0.25]), np.zeros(3, dtype=int), 1.0)
    assert credit[[0, 2]].tolist() == [0.75, 0.25]
    assert np.isnan(credit[1])


def test_no_segments_have_no_credit() -> None:
    nothing = np.zeros(0, dtype=int)
    assert to_come(np.zeros(0), nothing, 1.0).shape == (0,)
    assert [tokens.tolist() for tokens in spread(np.zeros(0), nothing, [], [], [2, 0])] == [
        [0, 0],
        [],
    ]


def test_segments_out_of_order_are_refused() -> None:
    with pytest.raises(AssertionError):
        to_come(np.ones(3), np.array([0, 1, 0]), 1.0)


@given(SEGMENTS)
def test_credit_is_never_clipped(pairs: list[tuple[int, float]]) -> None:
    gains, rollouts = columns(sorted(pairs))
    assert (to_come(-gains, rollouts, 0.7) == -to_come(gains, rollouts, 0.7)).all()


@given(SEGMENTS)
def test_to_go_is_the_last_success_less_the_one_before(pairs: list[tuple[int, float]]) -> None:
    gains, rollouts = columns(sorted(pairs, key=lambda pair: pair[0]))
    credit = to_come(gains, rollouts, 1.0)
    for rollout in np.unique(rollouts):
        success = np.concatenate([[0.5], 0.5 + np.cumsum(gains[rollouts == rollout])])
        assert credit[rollouts == rollout] == pytest.approx(success[-1] - success[:-1], abs=1e-12)


def test_spread_by_hand() -> None:
    by_token = spread(
        np.array([0.5, -1.0, 2.0]), np.array([0, 0, 2]), [0, 2, 1], [2, 3, 1], [4, 2, 1]
    )
    assert [tokens.tolist() for tokens in by_token] == [[0.5, 0.5, -1.0, 0.0], [0.0, 0.0], [0.0]]
    flags = spread(np.array([True]), np.array([0]), [1], [2], [3])
    assert flags[0].tolist() == [False, True, False]


@given(SEGMENTS)
def test_a_useless_segment_is_charged_what_its_group_gains_on_average(
    pairs: list[tuple[int, float]],
) -> None:
    progress, groups = columns([*pairs, (0, 0.0)])
    credit = scaled(progress, groups, "group_mean", "none", 1e-4)
    assert credit[-1] == pytest.approx(-progress[groups == 0].mean(), abs=1e-12)
    assert np.bincount(groups, weights=credit) == pytest.approx(
        np.zeros(groups.max() + 1), abs=1e-9
    )


# The algebra: with J_0 a constant of the problem and J_k = r, summing progress over a trace changes
# nothing.

ALPHA = 0.7
REWARDS = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
GROUPS = np.repeat([0, 1], 4)
SUCCESS_AT_START = np.array([0.3, 0.1])
NUM_SEGMENTS, SEGMENT_TOKENS = 3, 4
ROLLOUT_OF_SEGMENT = np.repeat(np.arange(len(REWARDS)), NUM_SEGMENTS)


def progress_of_each_segment() -> np.ndarray:
    """Δ of [rollout, segment]: success starts at the problem's own, wanders, ends at the reward."""
    inner = np.random.default_rng(1).random((len(REWARDS), NUM_SEGMENTS - 1))
    success = np.column_stack([SUCCESS_AT_START[GROUPS], inner, REWARDS])
    return np.diff(success, axis=1)


def policy_gradient(advantages_of_segments: np.ndarray) -> np.ndarray:
    """Gradient of mean A log π over the weights of a bigram policy, in float64."""
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn(5, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    tokens = torch.randint(
        5, (len(REWARDS), NUM_SEGMENTS * SEGMENT_TOKENS + 1), generator=generator
    )
    logprobs = weights.log_softmax(-1)[tokens[:, :-1], tokens[:, 1:]]
    by_token = np.repeat(
        advantages_of_segments.reshape(len(REWARDS), NUM_SEGMENTS), SEGMENT_TOKENS, axis=1
    )
    (torch.from_numpy(by_token) * logprobs).mean().backward()
    return weights.grad.numpy().ravel()


def cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


def outcome_and_scalar(normalize_by_std: bool) -> tuple[np.ndarray, np.ndarray]:
    """Advantages of r, and of r plus alpha times the trace's summed progress."""
    scalar = REWARDS + ALPHA * progress_of_each_segment().sum(axis=1)
    outcome, dense = (group_normalized(r, GROUPS, normalize_by_std, 0.0) for r in (REWARDS, scalar))
    return outcome[ROLLOUT_OF_SEGMENT], dense[ROLLOUT_OF_SEGMENT]


def test_progress_summed_over_a_trace_is_outcome_once_more() -> None:
    outcome, scalar = outcome_and_scalar(normalize_by_std=True)
    assert scalar == pytest.approx(outcome, abs=1e-12)
    assert policy_gradient(scalar) == pytest.approx(policy_gradient(outcome), abs=1e-12)


def test_without_normalization_the_sum_only_scales_outcome() -> None:
    outcome, scalar = outcome_and_scalar(normalize_by_std=False)
    assert scalar == pytest.approx((1 + ALPHA) * outcome, abs=1e-12)
    assert policy_gradient(scalar) == pytest.approx(
        (1 + ALPHA) * policy_gradient(outcome), abs=1e-12
    )


@pytest.mark.parametrize("discount", [1e-9, 0.5, 1.0])
@pytest.mark.parametrize("baseline", ["none", "group_mean"])
def test_progress_by_segment_points_elsewhere(baseline: str, discount: float) -> None:
    """To go as well: what is to come depends on where in the stream it is counted from."""
    outcome, _ = outcome_and_scalar(normalize_by_std=True)
    gains = to_come(progress_of_each_segment().ravel(), ROLLOUT_OF_SEGMENT, discount)
    credit = scaled(gains, GROUPS[ROLLOUT_OF_SEGMENT], baseline, "none", 0.0)
    assert cosine(policy_gradient(outcome + credit), policy_gradient(outcome)) < 0.99


def test_summed_with_a_discount_a_trace_is_no_longer_its_outcome() -> None:
    outcome, _ = outcome_and_scalar(normalize_by_std=True)
    ends = np.tile(SEGMENT_TOKENS * np.arange(1, NUM_SEGMENTS + 1), len(REWARDS))
    discounted = geometric_survival(ends, 0.9) * progress_of_each_segment().ravel()
    area = discounted.reshape(len(REWARDS), NUM_SEGMENTS).sum(1)
    dense = group_normalized(REWARDS + ALPHA * area, GROUPS, True, 0.0)[ROLLOUT_OF_SEGMENT]
    assert cosine(policy_gradient(dense), policy_gradient(outcome)) < 0.9999

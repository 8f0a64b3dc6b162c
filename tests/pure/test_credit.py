"""Advantages: hand-computed groups, and the algebra of docs' section on objectives shown with real gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.credit import group_mean, group_normalized, myopic, segment_advantages
from stages.pure.losses import ppo_clip, token_logprobs

BINARY_GROUPS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0])), min_size=1, max_size=24)
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
    found = group_normalized(rewards, groups, normalize_by_std=True, std_epsilon=1e-4)
    third, whole = 0.25 / (0.4330127018922193 + 1e-4), 0.75 / (0.4330127018922193 + 1e-4)
    assert found == pytest.approx([third, third, third, -whole, 0.5 / 0.5001, -0.5 / 0.5001], abs=1e-12)


def test_without_the_division_only_the_mean_goes() -> None:
    found = group_normalized(np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(4, dtype=int), False, 1e-4)
    assert found.tolist() == [0.75, -0.25, -0.25, -0.25]


def test_a_failed_verifier_counts_for_nothing_in_its_group() -> None:
    rewards = np.array([1.0, np.nan, 0.0, np.nan])
    found = group_normalized(rewards, np.array([0, 0, 0, 1]), normalize_by_std=True, std_epsilon=1e-4)
    assert np.isnan(found[[1, 3]]).all()
    assert found[[0, 2]] == pytest.approx([0.5 / 0.5001, -0.5 / 0.5001], abs=1e-12)


@pytest.mark.parametrize("reward", [0.0, 1.0])
@pytest.mark.parametrize("normalize_by_std", [True, False])
def test_a_group_of_equal_rewards_teaches_nothing(reward: float, normalize_by_std: bool) -> None:
    found = group_normalized(np.full(7, reward), np.zeros(7, dtype=int), normalize_by_std, 1e-4)
    assert (found == 0).all()


@given(BINARY_GROUPS, st.booleans())
def test_advantages_of_a_group_sum_to_zero(pairs: list[tuple[int, float]], normalize_by_std: bool) -> None:
    rewards, groups = columns(pairs)
    found = group_normalized(rewards, groups, normalize_by_std, 1e-4)
    assert np.bincount(groups, weights=found) == pytest.approx(np.zeros(groups.max() + 1), abs=1e-9)


@given(BINARY_GROUPS, st.randoms())
def test_the_order_of_rollouts_means_nothing(pairs: list[tuple[int, float]], random: object) -> None:
    rewards, groups = columns(pairs)
    order = np.array(sorted(range(len(pairs)), key=lambda _: random.random()))
    shuffled = group_normalized(rewards[order], groups[order], True, 1e-4)
    assert shuffled == pytest.approx(group_normalized(rewards, groups, True, 1e-4)[order], abs=1e-12)


def test_myopic_by_hand() -> None:
    progress = np.array([0.4, 0.0, -0.1, np.nan, 0.9])
    groups = np.array([0, 0, 0, 0, 1])
    assert myopic(progress, groups, "none").tolist() == [0.4, 0.0, -0.1, 0.0, 0.9]
    assert myopic(progress, groups, "group_mean") == pytest.approx([0.3, -0.1, -0.2, 0.0, 0.0], abs=1e-12)
    with pytest.raises(AssertionError):
        myopic(progress, groups, "mean")


@given(SEGMENTS)
def test_credit_is_never_clipped(pairs: list[tuple[int, float]]) -> None:
    progress, groups = columns(pairs)
    assert (myopic(progress, groups, "none") == progress).all()


@given(SEGMENTS)
def test_a_useless_segment_is_charged_what_its_group_gains_on_average(pairs: list[tuple[int, float]]) -> None:
    progress, groups = columns([*pairs, (0, 0.0)])
    credit = myopic(progress, groups, "group_mean")
    assert credit[-1] == pytest.approx(-progress[groups == 0].mean(), abs=1e-12)
    assert np.bincount(groups, weights=credit) == pytest.approx(np.zeros(groups.max() + 1), abs=1e-9)


def test_segment_advantages_by_hand() -> None:
    found = segment_advantages(
        outcome=np.array([1.0, -1.0, np.nan]),
        credit=np.array([0.3, -0.2, 0.1, 0.4, 0.5]),
        rollout_of_segment=np.array([0, 0, 1, 1, 2]),
        is_answer=np.array([False, True, False, True, False]),
        alpha=0.5,
    )
    assert found[:4] == pytest.approx([0.8, 0.5, -0.4, -0.5], abs=1e-12)
    assert np.isnan(found[4])


def test_a_group_with_one_outcome_teaches_by_progress_alone() -> None:
    rewards, groups, rollouts = np.ones(2), np.zeros(2, dtype=int), np.array([0, 0, 1, 1])
    outcome = group_normalized(rewards, groups, True, 1e-4)
    credit = myopic(np.array([0.1, 0.5, 0.0, 0.6]), groups[rollouts], "group_mean")
    is_answer = np.zeros(4, dtype=bool)
    assert (segment_advantages(outcome, np.zeros(4), rollouts, is_answer, 1.0) == 0).all()
    assert segment_advantages(outcome, credit, rollouts, is_answer, 1.0) == pytest.approx([-0.2, 0.2, -0.3, 0.3])


# The algebra: with J_0 a constant of the problem and J_k = r, summing progress over a trace changes nothing.

ALPHA = 0.7
REWARDS = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
GROUPS = np.repeat([0, 1], 4)
SUCCESS_AT_START = np.array([0.3, 0.1])
NUM_SEGMENTS, SEGMENT_TOKENS = 3, 4
ROLLOUT_OF_SEGMENT = np.repeat(np.arange(len(REWARDS)), NUM_SEGMENTS)


def progress_of_each_segment() -> np.ndarray:
    """Δ of [rollout, segment]: success starts at the problem's own, wanders, and ends at the reward."""
    inner = np.random.default_rng(1).random((len(REWARDS), NUM_SEGMENTS - 1))
    success = np.column_stack([SUCCESS_AT_START[GROUPS], inner, REWARDS])
    return np.diff(success, axis=1)


def policy_gradient(advantages_of_segments: np.ndarray) -> np.ndarray:
    """Gradient of PPO's loss over the weights of a bigram model, in float64, at the sampling policy."""
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn(5, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    tokens = torch.randint(5, (len(REWARDS), NUM_SEGMENTS * SEGMENT_TOKENS + 1), generator=generator)
    logprobs = token_logprobs(weights[tokens[:, :-1]], tokens[:, 1:])
    by_token = np.repeat(advantages_of_segments.reshape(len(REWARDS), NUM_SEGMENTS), SEGMENT_TOKENS, axis=1)
    mask = torch.ones(logprobs.shape, dtype=torch.bool)
    ppo_clip(logprobs, logprobs.detach(), torch.from_numpy(by_token), mask, 0.2, 0.28).loss.backward()
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
    assert policy_gradient(scalar) == pytest.approx((1 + ALPHA) * policy_gradient(outcome), abs=1e-12)


@pytest.mark.parametrize("baseline", ["none", "group_mean"])
def test_progress_by_segment_points_elsewhere(baseline: str) -> None:
    outcome, _ = outcome_and_scalar(normalize_by_std=True)
    credit = myopic(progress_of_each_segment().ravel(), GROUPS[ROLLOUT_OF_SEGMENT], baseline)
    is_answer = np.zeros(len(credit), dtype=bool)
    per_rollout = group_normalized(REWARDS, GROUPS, True, 0.0)
    dense = segment_advantages(per_rollout, credit, ROLLOUT_OF_SEGMENT, is_answer, 1.0)
    assert cosine(policy_gradient(dense), policy_gradient(outcome)) < 0.99
    none = segment_advantages(per_rollout, np.zeros(len(credit)), ROLLOUT_OF_SEGMENT, is_answer, 1.0)
    assert policy_gradient(none) == pytest.approx(policy_gradient(outcome), abs=1e-12)

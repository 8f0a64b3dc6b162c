"""The critic finds a success that the hidden state tells, from rewards of other problems alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from fixtures.decoders import tiny_llama
from stages.contracts.params.recipes.probe import Critic
from stages.probe.critic_network import ValuedPrefix, boundary_states, boundary_values, train_critic
from stages.pure.seeds import derive_seed
from stages.running.errors import BadInput

VOCABULARY, PAD = 23, 0
SETTINGS = Critic(
    estimator="critic",
    num_folds=2,
    num_epochs=80,
    hidden_size=4,
    td_lambda=0.9,
    learning_rate=0.03,
    micro_batch_tokens=400,
)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny_llama(VOCABULARY)


def traces(num_problems: int, group_size: int = 4) -> list[ValuedPrefix]:
    """Random thinking behind one prompt token, rewards by the toss of a coin."""
    rng = np.random.default_rng(2)
    prefixes = []
    for problem in range(num_problems):
        for _ in range(group_size):
            tokens = [1, *rng.integers(1, VOCABULARY, int(rng.integers(5, 14))).tolist()]
            prefixes.append(
                ValuedPrefix(f"p{problem}", tokens, [1, len(tokens)], float(rng.random() < 0.5))
            )
    return prefixes


def valued(
    model: PreTrainedModel, rows: list[ValuedPrefix], settings: Critic = SETTINGS, seed: int = 1
) -> list[np.ndarray]:
    return boundary_values(model, rows, settings, seed, PAD, "float32", lambda _: None)


def test_a_state_is_the_policys_at_the_token_before_the_boundary(model: PreTrainedModel) -> None:
    rows = traces(3)
    token_counts: list[int] = []
    for trace, states in zip(
        rows, boundary_states(model, rows, 30, PAD, "float32", token_counts.append), strict=True
    ):
        with torch.no_grad():
            hidden = model.base_model(
                input_ids=torch.tensor([trace.tokens]), use_cache=False
            ).last_hidden_state[0]
        expected = hidden[[boundary - 1 for boundary in trace.boundaries]]
        assert states.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert sorted(token_counts) == sorted(len(trace.tokens) for trace in rows)


def test_success_that_the_state_tells_is_recovered(model: PreTrainedModel) -> None:
    """Success at the last boundary is a logistic function of the state there; at the first 1/2."""
    rng, rows = np.random.default_rng(0), traces(num_problems=1000)
    last_states = torch.stack(
        [
            states[-1]
            for states in boundary_states(model, rows, 4000, PAD, "float32", lambda _: None)
        ]
    )
    signal = (last_states @ torch.linspace(-1, 1, last_states.shape[1])).double().numpy()
    success = 1 / (1 + np.exp(-2.5 * (signal - signal.mean()) / signal.std()))
    rows = [
        replace(trace, reward=float(rng.random() < s))
        for trace, s in zip(rows, success, strict=True)
    ]
    values = np.array(valued(model, rows))
    assert np.abs(values[:, 1] - success).mean() < 0.1
    assert np.corrcoef(values[:, 1], success)[0, 1] > 0.9
    assert values[:, 0] == pytest.approx(
        np.full(len(rows), np.mean([trace.reward for trace in rows])), abs=0.08
    )


def test_values_of_a_chain_are_those_of_its_closed_form() -> None:
    """Two first states go on to two last ones with known chances: V = P r, by bootstrapping."""
    rng = np.random.default_rng(0)
    onward, success = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0.2, 0.8])
    first = rng.integers(2, size=4000)
    last = (rng.random(4000) < onward[first, 1]).astype(int)
    rewards = (rng.random(4000) < success[last]).astype(float)
    states = [torch.eye(4)[[a, 2 + b]] for a, b in zip(first, last, strict=True)]
    settings = SETTINGS.model_copy(update={"num_epochs": 300, "td_lambda": 0.2})
    critic = train_critic(states, rewards, settings, seed=3)
    with torch.no_grad():
        values = critic(torch.eye(4)).sigmoid().squeeze(-1).numpy()
    assert values == pytest.approx([*(onward @ success), *success], abs=0.03)


def fold_of(trace: ValuedPrefix) -> int:
    return derive_seed("fold", trace.problem_id) % SETTINGS.num_folds


def test_no_value_depends_on_a_reward_of_its_own_fold(model: PreTrainedModel) -> None:
    rows = traces(num_problems=12)
    turned = [
        replace(trace, reward=1 - trace.reward if fold_of(trace) == 0 else trace.reward)
        for trace in rows
    ]
    assert {fold_of(trace) for trace in rows} == {0, 1}
    for trace, before, after in zip(rows, valued(model, rows), valued(model, turned), strict=True):
        assert (before == after).all() == (fold_of(trace) == 0)


def test_a_problem_is_in_one_fold() -> None:
    rows = traces(num_problems=12)
    assert len({(trace.problem_id, fold_of(trace)) for trace in rows}) == 12


def test_the_same_bits_each_time_and_others_of_another_seed(model: PreTrainedModel) -> None:
    rows = traces(num_problems=8)
    first, again, other = valued(model, rows), valued(model, rows), valued(model, rows, seed=2)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_a_lost_verifier_teaches_nothing_and_is_valued(model: PreTrainedModel) -> None:
    rows = traces(num_problems=8)
    lost = ValuedPrefix("lost", [3, 4, 5], [1, 3], float("nan"))
    with_lost = valued(model, [*rows, lost])
    assert ((with_lost[-1] > 0) & (with_lost[-1] < 1)).all()
    for before, after in zip(valued(model, rows), with_lost[:-1], strict=True):
        assert after == pytest.approx(before, abs=1e-4)  # its place in a batch alone


def test_one_problem_has_nobody_to_learn_from(model: PreTrainedModel) -> None:
    with pytest.raises(BadInput, match=r"no judged rollout outside it .*first problem p0"):
        valued(model, traces(num_problems=1))

"""One update, by hand and by loops: which token gets which advantage, and that batching changes nothing.

What holds:
 1. advantages follow the recipe's objective, segment by segment
 2. every token is trained, forced or left out for a reason, and the sums match
 3. the loss and its gradient are those of a plain loop, however the minibatch is cut, padded or ordered
 4. forced tokens are context, never targets
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from stages import update
from stages.contracts import params
from stages.contracts.progress import Progress
from stages.pure.accounting import Status
from stages.update import Example
from tests.tiny import tiny_llama

RECIPE = params.load(Path(__file__).parent.parent / "params.yaml").recipes["information"]
VOCABULARY, PAD = 23, 0
NAN = float("nan")


def recipe(**changes: Any) -> params.Recipe:
    """The repository's recipe at temperature 0.8, with changes to its update."""
    rollout = RECIPE.rollout.model_copy(update={"temperature": 0.8})
    return RECIPE.model_copy(update={"rollout": rollout, "update": RECIPE.update.model_copy(update=changes)})


# 1. and 2. Two problems, five rollouts: one cut off, one whose verifier failed.

SAMPLED = {
    "rollout_id": ["a0", "a1", "a2", "b0", "b1"],
    "problem_id": ["a", "a", "a", "b", "b"],
    "prompt_tokens": [[1, 2]] * 5,
    "completion_tokens": [[5] * 6, [6] * 5, [7] * 4, [8] * 3, [9] * 3],
    "sampler_logprobs": [[-1.0] * 6, [-1.0] * 5, [-1.0] * 4, [-1.0] * 3, [-1.0] * 3],
    "forced_start": [6, 3, 4, 3, 3],
    "forced_end": [6, 4, 4, 3, 3],
    "finish_reason": ["stop", "forced", "length", "stop", "stop"],
}
REWARDS = np.array([1.0, 0.0, NAN, 1.0, 1.0])
SEGMENTS = [  # rollout_id, segment_index, kind, start_token, end_token, progress
    ("a0", 0, "attempt", 0, 2, 0.25),
    ("a0", 1, "attempt", 2, 4, 0.5),
    ("a0", 2, "answer", 4, 6, None),
    ("a1", 0, "attempt", 0, 3, -0.75),
    ("a1", 1, "answer", 3, 5, None),
    ("a2", 0, "other", 0, 4, 0.0),
    ("b0", 0, "attempt", 0, 2, 0.5),
    ("b0", 1, "answer", 2, 3, None),
    ("b1", 0, "attempt", 0, 2, 0.25),
    ("b1", 1, "answer", 2, 3, None),
]
NAMES = ("rollout_id", "segment_index", "kind", "start_token", "end_token", "progress")
CUT = {name: [row[i] for row in SEGMENTS] for i, name in enumerate(NAMES)}
GAINED = {name: [row[NAMES.index(name)] for row in SEGMENTS if row[2] != "answer"] for name in NAMES}


def advantages(objective: str, **changes: Any) -> list[list[float]]:
    settings = recipe(objective=objective, alpha=1.0, normalize_by_std=False, credit_baseline="none", **changes).update
    return [values.tolist() for values in update.token_advantages(SAMPLED, REWARDS, CUT, GAINED, settings)]


def test_outcome_gives_every_token_of_a_rollout_the_same() -> None:
    found = advantages("outcome")
    assert found[:2] == [[0.5] * 6, [-0.5] * 5]
    assert np.isnan(found[2]).all()
    assert found[3:] == [[0.0] * 3, [0.0] * 3]


def test_information_adds_to_each_segment_its_own_progress() -> None:
    found = advantages("information")
    assert found[0] == [0.75, 0.75, 1.0, 1.0, 0.5, 0.5]
    assert found[1] == [-1.25] * 3 + [-0.5] * 2
    assert found[3:] == [[0.5, 0.5, 0.0], [0.25, 0.25, 0.0]]


def test_a_group_with_one_outcome_is_left_out_by_outcome_and_used_by_information() -> None:
    for objective, expected in (("outcome", Status.FILTERED_ZERO_ADVANTAGE), ("information", Status.TRAINED)):
        values = [np.array(value) for value in advantages(objective)]
        _, rows = update.assemble(SAMPLED, REWARDS, values, mask_truncated=False)
        assert [row["status"] for row in rows[3:]] == [expected] * 2


@pytest.mark.parametrize("mask_truncated", [True, False])
@pytest.mark.parametrize("objective", ["outcome", "information"])
def test_every_token_is_accounted_for(objective: str, mask_truncated: bool) -> None:
    rewards = np.array([1.0, 0.0, 0.0, 1.0, NAN])
    settings = recipe(objective=objective).update
    values = update.token_advantages(SAMPLED, rewards, CUT, GAINED, settings)
    examples, rows = update.assemble(SAMPLED, rewards, values, mask_truncated)
    for row, tokens in zip(rows, SAMPLED["completion_tokens"], strict=True):
        parts = ("num_trained_tokens", "num_forced_tokens", "num_untrained_tokens")
        assert sum(row[part] for part in parts) == len(tokens)
        assert (row["num_trained_tokens"] > 0) == (row["status"] == Status.TRAINED)
    assert rows[1]["num_forced_tokens"] == 1
    assert rows[2]["status"] == (Status.TRUNCATED if mask_truncated else Status.TRAINED)
    assert rows[4]["status"] == Status.ERRORED
    record = {"loss": 0.0, "grad_norm": 0.0, "clip_frac": 0.0, "kl_nats": 0.0, "entropy_nats": 0.0}
    metrics = update.summary(rows, [{**record, "max_logprob_difference_nats": 0.0}])
    assert sum(metrics["tokens"].values()) == sum(map(len, SAMPLED["completion_tokens"]))
    assert metrics["tokens"]["trained"] == sum(int(example.is_target.sum()) for example in examples)


def test_the_ids_trained_are_the_ids_sampled() -> None:
    values = [np.array(value) for value in advantages("information")]
    examples, rows = update.assemble(SAMPLED, REWARDS, values, mask_truncated=False)
    trained = [index for index, row in enumerate(rows) if row["status"] == Status.TRAINED]
    assert [example.completion_tokens for example in examples] == [SAMPLED["completion_tokens"][i] for i in trained]
    assert examples[1].is_target.tolist() == [True, True, True, False, True]


def test_every_example_is_seen_once_an_epoch() -> None:
    settings = recipe(epochs=3, minibatches_per_epoch=4).update
    steps = update.minibatches(10, settings, seed=5)
    assert len(steps) == 12
    for epoch in range(3):
        assert sorted(row for step in steps[4 * epoch : 4 * epoch + 4] for row in step) == list(range(10))
    assert update.minibatches(10, settings, seed=5) == steps
    assert update.minibatches(10, settings, seed=6) != steps
    assert len(update.minibatches(2, settings, seed=5)) == 6  # fewer examples than minibatches: no empty step


# 3. and 4. The loss, on a real decoder in float64.


def batch() -> list[Example]:
    """Rollouts of uneven lengths around the model's own log-probabilities, so that ratios fall on either side."""
    model, rng = tiny_llama(VOCABULARY, dtype=torch.float64), np.random.default_rng(2)
    examples = []
    for prompt_length, length in ((2, 9), (4, 3), (3, 6), (2, 1), (5, 8)):
        tokens = rng.integers(1, VOCABULARY, prompt_length + length)
        with torch.no_grad():
            logits = model(input_ids=torch.from_numpy(tokens)[None], use_cache=False).logits[0] / 0.8
        own = logits.log_softmax(-1).numpy()[np.arange(prompt_length - 1, len(tokens) - 1), tokens[prompt_length:]]
        logprobs = (own + 0.3 * rng.standard_normal(length)).astype(np.float32).astype(np.float64)
        values = rng.integers(-128, 129, length) / 64  # exact in float32, as tables store it
        is_target = np.arange(length) != length // 2 if length > 1 else np.ones(1, dtype=bool)
        prompt, completion = tokens[:prompt_length].tolist(), tokens[prompt_length:].tolist()
        examples.append(Example(prompt, completion, logprobs, values, is_target))
    return examples


def loss_and_gradient(examples: Sequence[Example], micro_batch_tokens: int) -> tuple[float, list[np.ndarray], dict]:
    """Through the same code an update runs."""
    model = tiny_llama(VOCABULARY, dtype=torch.float64)
    watched: dict[str, float] = {}
    settings = recipe(micro_batch_tokens=micro_batch_tokens, clip_low=0.2, clip_high=0.28)
    total = 0.0
    with Progress("update", total=1, unit="rollout") as progress:
        for loss in update.losses(SimpleNamespace(model=model), examples, settings, PAD, watched, progress):
            loss.backward()
            total += loss.item()
    return total, [parameter.grad.numpy() for parameter in model.parameters()], watched


def by_loops(examples: Sequence[Example]) -> tuple[float, list[np.ndarray], dict]:
    """The same by a pass a rollout, a loop over its tokens, and the gradient over logits written out."""
    model = tiny_llama(VOCABULARY, dtype=torch.float64)
    num_targets = sum(example.is_target.sum() for example in examples)
    total, num_clipped, ratios = 0.0, 0, 0.0
    for example in examples:
        tokens = [*example.prompt_tokens, *example.completion_tokens]
        logits = model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]
        upstream = np.zeros(logits.shape)
        for index in np.flatnonzero(example.is_target):
            at = len(example.prompt_tokens) + index - 1
            odds = np.exp(logits[at].detach().numpy() / 0.8)
            probabilities, target = odds / odds.sum(), tokens[at + 1]
            advantage = example.advantages[index]
            ratio = math.exp(math.log(probabilities[target]) - example.sampler_logprobs[index])
            bound = min(max(ratio, 0.8), 1.28)
            is_clipped = bound * advantage < ratio * advantage
            total -= min(ratio * advantage, bound * advantage)
            num_clipped, ratios = num_clipped + is_clipped, ratios + ratio
            if not is_clipped:
                upstream[at] = -ratio * advantage * (np.eye(VOCABULARY)[target] - probabilities) / 0.8 / num_targets
        logits.backward(torch.from_numpy(upstream))
    gradients = [parameter.grad.numpy() for parameter in model.parameters()]
    return total / num_targets, gradients, {"clip_frac": num_clipped / num_targets, "mean_ratio": ratios / num_targets}


def assert_equal(left: Sequence[np.ndarray], right: Sequence[np.ndarray], tolerance: float) -> None:
    for one, other in zip(left, right, strict=True):
        assert one == pytest.approx(other, abs=tolerance)


def test_the_loss_and_its_gradient_are_those_of_a_loop() -> None:
    loss, gradient, watched = loss_and_gradient(batch(), micro_batch_tokens=30)
    expected_loss, expected_gradient, expected_watched = by_loops(batch())
    assert loss == pytest.approx(expected_loss, abs=1e-10)
    assert_equal(gradient, expected_gradient, 1e-10)
    for name, value in expected_watched.items():
        assert watched[name] == pytest.approx(value, abs=1e-10)
    assert 0.1 < watched["clip_frac"] < 0.9


CHANGES: dict[str, Callable[[list[Example]], list[Example]]] = {
    "as_it_is": lambda examples: examples,
    "reversed": lambda examples: examples[::-1],
    "shuffled": lambda examples: [examples[i] for i in (2, 0, 4, 3, 1)],
}


@pytest.mark.parametrize("micro_batch_tokens", [1, 22, 26, 10_000])
@pytest.mark.parametrize("change", CHANGES)
def test_split_padding_and_order_change_nothing(change: str, micro_batch_tokens: int) -> None:
    loss, gradient, watched = loss_and_gradient(batch(), 10_000)
    again_loss, again_gradient, again_watched = loss_and_gradient(CHANGES[change](batch()), micro_batch_tokens)
    assert again_loss == pytest.approx(loss, abs=1e-12)
    assert_equal(again_gradient, gradient, 1e-12)
    assert again_watched == pytest.approx(watched, abs=1e-12)


def test_forced_tokens_are_context_and_never_targets() -> None:
    _, gradient, _ = loss_and_gradient(batch(), 100)
    wild = [e._replace(advantages=np.where(e.is_target, e.advantages, 9.0)) for e in batch()]
    wild = [e._replace(sampler_logprobs=np.where(e.is_target, e.sampler_logprobs, 0.0)) for e in wild]
    _, same_gradient, _ = loss_and_gradient(wild, 100)
    assert_equal(same_gradient, gradient, 0.0)
    first = batch()[0]
    at = int(np.flatnonzero(~first.is_target)[0])
    tokens = [*first.completion_tokens]
    tokens[at] = tokens[at] % (VOCABULARY - 1) + 1
    _, other_gradient, _ = loss_and_gradient([first._replace(completion_tokens=tokens), *batch()[1:]], 100)
    assert max(np.abs(a - b).max() for a, b in zip(gradient, other_gradient, strict=True)) > 1e-6

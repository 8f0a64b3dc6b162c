"""The loss of a minibatch of rollouts, whole: real models in float64, every loss, every layout.

What holds:
 1. value, gradient and what is watched are those of plain loops (`tests/golden`), padded and packed
 2. micro-batches, padding, packing and the order of rollouts change nothing
 3. what is fixed before the first step is, and is the same after a resume
 4. forced tokens are context; the KL is where it is asked for
 5. credit by segment survives a ratio by sequence; a sequence's ratio does not grow with its length
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedConfig, PreTrainedModel

from fixtures.decoders import tiny_llama
from stages.contracts.params.recipes.update import Update
from stages.contracts.params.whole import load
from stages.engines import varlen
from stages.engines.computing import Precision
from stages.engines.training.example import Example
from stages.engines.training.policy_loss import PolicyLoss
from tests.golden import losses as golden

BASE = load(Path(__file__).parents[3] / "params.yaml").recipes["information"].update.model_dump()
BASE |= {"micro_batch_tokens": 10_000, "clip_low": 0.2, "clip_high": 0.28}
OBJECTIVES = {
    "outcome": {"name": "outcome"},
    "offline": {"name": "offline", "gain": "progress", "keep_frac": 1.0},
}
LOSSES = ("grpo", "dr_grpo", "dapo", "gspo", "cispo")
VOCABULARY, TEMPERATURE, BUDGET_TOKENS = 23, 0.8, 12
EVERYTHING = {
    "kl_coefficient": 0.3,
    "entropy_coefficient": 0.2,
    "importance_correction": {"kind": "truncate", "cap": 1.3},
}
Measured = tuple[float, list[np.ndarray], dict[str, float]]


def settings(**changes: Any) -> Update:
    """The repository's `information` update with changes; an objective by its name."""
    objective = OBJECTIVES[changes.pop("objective", "outcome")]
    return Update.model_validate({**BASE, "objective": objective, **changes})


def measure(
    model: torch.nn.Module,
    update: Update,
    examples: Sequence[Example],
    start: torch.nn.Module | None = None,
    reference: torch.nn.Module | None = None,
    temperature: float = TEMPERATURE,
    budget_tokens: int = BUDGET_TOKENS,
    precision: Precision = "float32",
) -> Measured:
    """Loss, gradient and what is watched, by the calls an update makes."""
    model.zero_grad()
    loss = PolicyLoss(update, temperature, budget_tokens, precision, reference)
    watched: dict[str, float] = {}
    total = 0.0
    for share in loss.minibatch(
        model, loss.prepare(start or model, examples), watched, lambda num_tokens: None
    ):
        share.backward()
        total += share.item()
    return total, [parameter.grad.numpy() for parameter in model.parameters()], watched


def assert_equal(measured: Measured, expected: Measured, tolerance: float) -> None:
    assert measured[0] == pytest.approx(expected[0], abs=tolerance)
    for one, other in zip(measured[1], expected[1], strict=True):
        assert one == pytest.approx(other, abs=tolerance)
    assert measured[2] == pytest.approx(expected[2], abs=tolerance)


def largest_difference(measured: Measured, expected: Measured) -> float:
    return max(
        np.abs(one - other).max() for one, other in zip(measured[1], expected[1], strict=True)
    )


# 1. Golden values


class TablePolicy(PreTrainedModel):
    """Row a of its one parameter holds the logits of what follows token a."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__(PreTrainedConfig())
        self.logits = torch.nn.Parameter(torch.tensor(logits, dtype=torch.float64))

    def forward(self, input_ids: torch.Tensor, **structure: Any) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits[input_ids])


GOLDEN = json.loads(golden.FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("row_tokens", [None, 12])
@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_value_gradient_and_watched_are_those_of_plain_loops(
    case: str, row_tokens: int | None
) -> None:
    inputs, expected = GOLDEN["inputs"], GOLDEN["cases"][case]
    update = settings(
        **expected["settings"],
        clip_low=inputs["clip_low"],
        clip_high=inputs["clip_high"],
        row_tokens=row_tokens,
    )
    measured = measure(
        TablePolicy(inputs["policy"]),
        update,
        [
            Example(**{name: np.array(values) for name, values in row.items()})
            for row in inputs["rollouts"]
        ],
        TablePolicy(inputs["start"]),
        TablePolicy(inputs["reference"]) if update.kl_coefficient else None,
        inputs["temperature"],
        inputs["budget_tokens"],
    )
    assert_equal(
        measured, (expected["value"], [np.array(expected["gradient"])], expected["watched"]), 1e-10
    )


def test_the_golden_file_is_what_its_loops_give() -> None:
    again = json.loads(json.dumps(golden.golden()))
    assert again["inputs"] == GOLDEN["inputs"]
    assert again["cases"].keys() == GOLDEN["cases"].keys()
    for name, case in again["cases"].items():
        stored = GOLDEN["cases"][name]
        assert case["settings"] == stored["settings"]
        measured = ((c["value"], [np.array(c["gradient"])], c["watched"]) for c in (case, stored))
        assert_equal(*measured, 1e-13)


def test_the_golden_inputs_reach_every_branch() -> None:
    for name, case in GOLDEN["cases"].items():
        if case["settings"].get("objective") != "offline":
            assert 0 < case["watched"]["clip_frac"] < 1, name
        assert 0 < case["watched"].get("importance_clipped_frac", 0.5) < 1, name
    assert any(not any(rollout["is_target"]) for rollout in GOLDEN["inputs"]["rollouts"])


# 2. Layouts


def batch() -> list[Example]:
    """Rollouts of uneven lengths whose ratios to the model's policy fall on either side of 1."""
    model, rng = tiny_llama(VOCABULARY, dtype=torch.float64), np.random.default_rng(2)
    examples = []
    for prompt_length, length in ((2, 9), (4, 3), (3, 6), (2, 1), (5, 8)):
        tokens = rng.integers(1, VOCABULARY, prompt_length + length)
        with torch.no_grad():
            logits = (
                model(input_ids=torch.from_numpy(tokens)[None], use_cache=False).logits[0]
                / TEMPERATURE
            )
        logprobs = logits.log_softmax(-1).numpy()[
            np.arange(prompt_length - 1, len(tokens) - 1), tokens[prompt_length:]
        ]
        is_target = np.arange(length) != length // 2 if length > 1 else np.ones(1, dtype=bool)
        examples.append(
            Example(
                tokens[:prompt_length],
                tokens[prompt_length:],
                logprobs + 0.3 * rng.standard_normal(length),
                rng.standard_normal(length),
                is_target,
                np.arange(length) < 4,
            )
        )
    return examples


def llama(seed: int) -> torch.nn.Module:
    return tiny_llama(VOCABULARY, seed, torch.float64)


ORDERS = {"as_it_is": [0, 1, 2, 3, 4], "reversed": [4, 3, 2, 1, 0], "shuffled": [2, 0, 4, 3, 1]}


@pytest.mark.parametrize(
    "changes", [{}, EVERYTHING, {"objective": "offline"}], ids=["plain", "everything", "offline"]
)
@pytest.mark.parametrize("loss", LOSSES)
def test_split_padding_packing_and_order_change_nothing(
    loss: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(
        order: Sequence[int], micro_batch_tokens: int, row_tokens: int | None, masked: int = 0
    ) -> Measured:
        monkeypatch.setattr(varlen, "MASKED_ROW_TOKENS", masked)
        update = settings(
            loss=loss, **changes, micro_batch_tokens=micro_batch_tokens, row_tokens=row_tokens
        )
        anchor = llama(2) if update.kl_coefficient else None
        examples = batch()
        return measure(llama(0), update, [examples[i] for i in order], llama(1), anchor)

    expected = run(ORDERS["as_it_is"], 10_000, None)
    padded, packed = (
        ((1, None), (22, None), (26, None)),
        ((10_000, 16), (32, 16), (10_000, 100), (10_000, 100, 100)),
    )
    for layout in (*padded, *packed):
        for order in ORDERS.values():
            assert_equal(run(order, *layout), expected, 1e-12)


def test_dividing_by_a_micro_batchs_own_count_would_not_add_up() -> None:
    """The denominator is the whole minibatch's (trl#3021): averaged means of parts differ."""
    whole, *parts = (
        measure(llama(0), settings(loss="dapo"), examples)[0]
        for examples in (batch(), batch()[:2], batch()[2:])
    )
    assert abs(np.mean(parts) - whole) > 1e-3


def test_rollouts_in_a_packed_row_are_strangers(packing: str) -> None:
    """What stands before a rollout in its row changes neither its loss nor its gradient."""
    update = settings(loss="grpo", row_tokens=100)
    first, second = batch()[:2]
    silent = [replace(first, advantages=np.zeros(9)), second]
    changed = replace(
        silent[0], completion_tokens=np.ones(9, dtype=int), prompt_tokens=np.array([7, 7])
    )
    other = [changed, second]
    measured, expected = (measure(llama(0), update, examples) for examples in (other, silent))
    assert measured[0] == pytest.approx(expected[0], abs=1e-12)
    assert largest_difference(measured, expected) < 1e-12


def test_a_rollout_without_a_prompt_is_refused() -> None:
    with pytest.raises(AssertionError, match="predicted from the prompt"):
        measure(llama(0), settings(), [replace(batch()[0], prompt_tokens=np.zeros(0, dtype=int))])


@pytest.mark.parametrize("row_tokens", [None, 16])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_micro_batch_in_which_nothing_is_predicted_weighs_nothing(
    loss: str, row_tokens: int | None
) -> None:
    """A prompt of one token and no completion, alone in its micro-batch."""
    nothing = np.zeros(0)
    empty = Example(
        np.array([3]), nothing.astype(int), nothing, nothing, *[nothing.astype(bool)] * 2
    )
    update = settings(loss=loss, micro_batch_tokens=1, row_tokens=row_tokens)
    alone = measure(llama(0), update, [empty])
    assert alone[0] == 0
    assert not any(gradient.any() for gradient in alone[1])
    assert alone[2]["max_logprob_difference_nats"] == 0
    beside, expected = (measure(llama(0), update, [*batch(), *more]) for more in ([empty], []))
    num_rollouts = len(batch()) / (len(batch()) + 1) if loss in ("grpo", "dr_grpo", "gspo") else 1
    assert beside[0] == pytest.approx(num_rollouts * expected[0], abs=1e-12)
    assert beside[2] == pytest.approx(expected[2], abs=1e-12)


# 3. Before the first step


@pytest.mark.parametrize("loss", LOSSES)
def test_with_a_correction_the_first_step_clips_nothing_whatever_the_sampler_says(
    loss: str,
) -> None:
    plain = measure(llama(0), settings(loss=loss), batch())[2]
    watched = measure(
        llama(0), settings(loss=loss, importance_correction={"kind": "mask", "cap": 2.0}), batch()
    )[2]
    assert plain["clip_frac"] > 0
    assert watched["clip_frac"] == 0
    assert watched["mean_ratio"] == pytest.approx(1, abs=1e-12)
    for name in ("kl_nats", "max_logprob_difference_nats", "mean_logprob_difference_nats"):
        assert watched[name] == plain[name] > 0, "the sampler's drift is watched all the same"


def test_what_is_fixed_comes_out_the_same_again_and_is_not_the_moved_policys() -> None:
    update = settings(**EVERYTHING, micro_batch_tokens=26)
    loss = PolicyLoss(update, TEMPERATURE, BUDGET_TOKENS, "float32", llama(2))
    first, again, moved = (
        loss.prepare(policy, batch()) for policy in (llama(0), llama(0), llama(1))
    )
    for one, same, other in zip(first, again, moved, strict=True):
        assert np.array_equal(one.proximal_logprobs, same.proximal_logprobs)
        assert np.array_equal(one.reference_logprobs, same.reference_logprobs)
        assert np.array_equal(one.reference_logprobs, other.reference_logprobs)
        assert np.abs(one.proximal_logprobs - other.proximal_logprobs).max() > 0.01


def test_the_log_probabilities_are_those_of_a_pass_over_one_rollout() -> None:
    loss = PolicyLoss(
        settings(**EVERYTHING, row_tokens=16), TEMPERATURE, BUDGET_TOKENS, "float32", llama(2)
    )
    model = llama(0)
    for example in loss.prepare(model, batch()):
        tokens = torch.tensor([[*example.prompt_tokens, *example.completion_tokens]])
        with torch.no_grad():
            logprobs = (
                model(input_ids=tokens, use_cache=False).logits[0] / TEMPERATURE
            ).log_softmax(-1)
        num_prompt = len(example.prompt_tokens)
        at = torch.arange(num_prompt - 1, tokens.shape[1] - 1)
        expected = logprobs[at, tokens[0, num_prompt:]].numpy()
        assert example.proximal_logprobs == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("coefficient", "reference"), [(0.3, None), (None, 2)])
def test_a_reference_is_there_if_and_only_if_it_is_asked_for(
    coefficient: float | None, reference: int | None
) -> None:
    with pytest.raises(AssertionError):
        PolicyLoss(
            settings(kl_coefficient=coefficient),
            1.0,
            12,
            "float32",
            llama(reference) if reference else None,
        )


# 4. Which tokens


@pytest.mark.parametrize("loss", LOSSES)
def test_forced_tokens_are_context_and_never_targets(loss: str) -> None:
    update = settings(loss=loss, **EVERYTHING)
    wild = []
    for example in batch():
        noise = np.where(example.is_target, 0.0, 9.0)
        values = {
            "advantages": example.advantages + noise,
            "sampler_logprobs": example.sampler_logprobs + noise,
        }
        wild.append(
            replace(example, **values, is_anchored=example.is_anchored | ~example.is_target)
        )
    expected, measured = (measure(llama(0), update, e, llama(1), llama(2)) for e in (batch(), wild))
    assert_equal(measured, expected, 0.0)
    first = batch()[0]
    tokens = first.completion_tokens.copy()
    tokens[int(np.flatnonzero(~first.is_target)[0])] += 1
    changed = [replace(first, completion_tokens=tokens), *batch()[1:]]
    assert (
        largest_difference(measure(llama(0), update, changed, llama(1), llama(2)), expected) > 1e-6
    )


def test_the_kl_holds_where_it_is_asked_for_and_is_nothing_at_the_reference() -> None:
    update = settings(loss="dapo", kl_coefficient=0.3)
    silent = [replace(example, advantages=np.zeros(len(example.advantages))) for example in batch()]
    free = [
        replace(example, is_anchored=np.zeros(len(example.advantages), dtype=bool))
        for example in silent
    ]
    value, gradient, watched = measure(llama(0), update, silent, reference=llama(2))
    num_targets = sum(example.is_target.sum() for example in silent)
    num_anchored = sum((example.is_target & example.is_anchored).sum() for example in silent)
    assert num_anchored < num_targets
    assert value == pytest.approx(
        0.3 * watched["reference_kl_nats"] * num_anchored / num_targets, abs=1e-12
    )
    assert max(np.abs(part).max() for part in gradient) > 1e-3
    for examples, reference in ((free, llama(2)), (silent, llama(0))):
        value, gradient, watched = measure(llama(0), update, examples, reference=reference)
        assert value == pytest.approx(0, abs=1e-12)
        assert watched["reference_kl_nats"] == pytest.approx(0, abs=1e-12)
        assert max(np.abs(part).max() for part in gradient) < 1e-12


def test_offline_is_weighted_likelihood_and_asks_the_sampler_nothing() -> None:
    update = settings(objective="offline", loss="dapo")
    kept = [replace(example, advantages=np.ones(len(example.advantages))) for example in batch()]
    value, gradient, _ = measure(llama(0), update, kept)
    model, num_targets = llama(0), sum(example.is_target.sum() for example in kept)
    total = torch.zeros((), dtype=torch.float64)
    for example in kept:
        tokens = torch.tensor([[*example.prompt_tokens, *example.completion_tokens]])
        logits = (
            model(input_ids=tokens, use_cache=False).logits[0, len(example.prompt_tokens) - 1 : -1]
            / TEMPERATURE
        )
        nll = torch.nn.functional.cross_entropy(
            logits, torch.tensor(example.completion_tokens), reduction="none"
        )
        total = total + (nll * torch.from_numpy(example.is_target)).sum()
    (total / num_targets).backward()
    assert value == pytest.approx(total.item() / num_targets, abs=1e-12)
    for one, parameter in zip(gradient, model.parameters(), strict=True):
        assert one == pytest.approx(parameter.grad.numpy(), abs=1e-12)
    stale = [replace(example, sampler_logprobs=example.sampler_logprobs - 5) for example in kept]
    assert largest_difference(measure(llama(0), update, stale), (value, gradient, {})) == 0


def test_tokens_are_counted_as_they_go_through() -> None:
    loss = PolicyLoss(settings(micro_batch_tokens=26), TEMPERATURE, BUDGET_TOKENS, "float32", None)
    counted: list[int] = []
    model = llama(0)
    list(loss.minibatch(model, loss.prepare(model, batch()), {}, counted.append))
    assert len(counted) > 1
    assert sum(counted) == sum(example.num_tokens for example in batch())


# 5. Ratios by sequence


def test_a_sequences_ratio_does_not_grow_with_its_length() -> None:
    """A sum of log ratios (trl#5814) would clip long sequences: 8 tokens of ratio 1.1 make 2.14."""
    model = TablePolicy([[0.0, 0.0]] * 2)
    for length in (1, 8, 64):
        drift = np.full(length, -np.log(2) - np.log(1.1))
        all_tokens = np.ones(length, dtype=bool)
        example = Example(
            np.array([0]), np.ones(length, int), drift, np.ones(length), all_tokens, all_tokens
        )
        value, _, watched = measure(model, settings(loss="gspo"), [example], temperature=1.0)
        assert watched["mean_ratio"] == pytest.approx(1.1, abs=1e-12)
        assert watched["clip_frac"] == 0
        assert value == pytest.approx(-1.1, abs=1e-12)


def test_credit_by_segment_survives_a_ratio_by_sequence() -> None:
    """Plain GSPO differentiates the sequence's ratio alone: credit +1 and −1 would cancel."""
    policy = TablePolicy([[0.2, -0.1, 0.0], [0.0, 0.3, 0.1], [0.1, 0.1, -0.2]])
    logprobs = policy.logits.detach().log_softmax(-1).numpy()
    all_tokens = np.ones(2, dtype=bool)
    example = Example(
        np.array([0]),
        np.array([1, 2]),
        logprobs[[0, 1], [1, 2]],
        np.array([1.0, -1.0]),
        all_tokens,
        all_tokens,
    )
    _, [gradient], _ = measure(policy, settings(loss="gspo"), [example], temperature=1.0)
    probabilities = np.exp(logprobs)
    assert gradient[0] == pytest.approx(-(np.eye(3)[1] - probabilities[0]) / 2, abs=1e-12)
    assert gradient[1] == pytest.approx((np.eye(3)[2] - probabilities[1]) / 2, abs=1e-12)

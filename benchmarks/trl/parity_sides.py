"""Both sides of `benchmarks.trl.parity`: a loss and its gradient, by us and by TRL."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from fixtures.decoders import tiny_llama
from stages.contracts.params.recipes.update import Update
from stages.engines.training.example import Example
from stages.engines.training.policy_loss import PolicyLoss

VOCABULARY, TEMPERATURE, NUM_PROMPT_TOKENS, BUDGET_TOKENS = 23, 0.8, 3, 12
CAP = 1.3
"""Of importance weights."""


class Case(NamedTuple):
    """One comparison: the loss's name here, and its settings on either side."""

    name: str
    ours: dict[str, Any]
    trl: dict[str, Any]
    is_per_token: bool
    """Whether advantages differ from token to token, or from rollout to rollout only."""


class Measured(NamedTuple):
    """A loss and its gradient over all parameters, laid end to end."""

    value: float
    gradient: Float[np.ndarray, " parameter"]


def policy(seed: int) -> PreTrainedModel:
    """A random Llama in float64.

    Seed 0 is the policy, 1 what it was before its first step, 2 the reference.
    """
    return tiny_llama(VOCABULARY, seed, torch.float64)


def logprobs(
    model: PreTrainedModel,
    prompt: Int[np.ndarray, " prompt"],
    completion: Int[np.ndarray, " token"],
) -> Float[np.ndarray, " token"]:
    """Of each completion token, by a pass over the one rollout."""
    tokens = torch.tensor([[*prompt.tolist(), *completion.tolist()]])
    with torch.no_grad():
        logits = model(input_ids=tokens, use_cache=False).logits[0, len(prompt) - 1 : -1]
    spread = (logits / TEMPERATURE).log_softmax(-1)
    return spread[torch.arange(len(completion)), torch.tensor(completion)].numpy()


def rollouts(is_per_token: bool) -> list[Example]:
    """Six rollouts whose ratios fall on either side of the bounds, some with a forced token."""
    rng, examples = np.random.default_rng(2), []
    model = policy(0)
    for num_completion in (9, 3, 6, 1, 8, 12):
        prompt = rng.integers(2, VOCABULARY, NUM_PROMPT_TOKENS)
        completion = rng.integers(2, VOCABULARY, num_completion)
        sampler = logprobs(model, prompt, completion) + 0.3 * rng.standard_normal(num_completion)
        drawn = rng.standard_normal(num_completion if is_per_token else 1)
        advantages = drawn * np.ones(num_completion)
        is_target = sampler < 0
        if num_completion > 3:
            is_target = np.arange(num_completion) != num_completion // 2
        examples.append(Example(prompt, completion, sampler, advantages, is_target, is_target))
    return examples


def by_us(settings: Update, examples: Sequence[Example]) -> Measured:
    """As an update runs it: the round's policy prepares, the moved one is differentiated."""
    model = policy(0)
    reference = policy(2) if settings.kl_coefficient else None
    loss = PolicyLoss(settings, TEMPERATURE, BUDGET_TOKENS, "float32", reference)
    total = 0.0
    prepared = loss.prepare(policy(1), examples)
    for share in loss.minibatch(model, prepared, {}, lambda num_tokens: None):
        share.backward()
        total += share.item()
    return Measured(total, flat_gradient(model))


def by_trl(
    case: Case, settings: Update, examples: Sequence[Example], folder: Path, is_exact: bool
) -> Measured:
    """TRL's trainer, handed the batch that its own generation would have made."""
    model = policy(0)
    trainer = make_trainer(model, case.trl, folder, is_exact)
    trainer.use_vllm = settings.importance_correction is not None
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer._compute_loss(model, trl_inputs(settings, examples))
    loss.backward()
    return Measured(loss.item(), flat_gradient(model))


def make_trainer(
    model: PreTrainedModel, changes: Mapping[str, Any], folder: Path, is_exact: bool
) -> Any:
    """A `GRPOTrainer`; with `is_exact` its log-probabilities are in the model's precision."""
    from datasets import Dataset  # type: ignore[import-not-found]
    from trl import GRPOTrainer  # type: ignore[import-not-found]

    class InModelPrecision(GRPOTrainer):  # type: ignore[misc]
        def _get_per_token_logps_and_entropies(
            self,
            model: Any,
            input_ids: Tensor,
            attention_mask: Tensor,
            logits_to_keep: int,
            **rest: Any,
        ) -> tuple[Tensor, Tensor, None]:
            passed = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
            logits = passed.logits[:, -logits_to_keep - 1 : -1]
            spread = (logits / self.temperature).log_softmax(-1)
            chosen = spread.gather(-1, input_ids[:, -logits_to_keep:].unsqueeze(-1)).squeeze(-1)
            return chosen, -(spread.exp() * spread).sum(-1), None

    # With `beta` TRL loads a reference from where the policy says it is from.
    model.save_pretrained(folder)
    model.config._name_or_path = str(folder)
    vocabulary = {f"t{token}": token for token in range(VOCABULARY)}
    return (InModelPrecision if is_exact else GRPOTrainer)(
        model=model,
        reward_funcs=lambda completions, **rest: [0.0] * len(completions),
        args=grpo_config(changes, folder),
        train_dataset=Dataset.from_dict({"prompt": ["t1"] * 2}),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(WordLevel(vocabulary, unk_token="t1")),
            pad_token="t0",
            eos_token="t1",
        ),
    )


def grpo_config(changes: Mapping[str, Any], folder: Path) -> Any:
    """TRL's settings of one step on one micro-batch."""
    from trl import GRPOConfig

    return GRPOConfig(
        output_dir=str(folder),
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        num_generations=2,
        per_device_train_batch_size=2,
        steps_per_generation=1,
        max_completion_length=BUDGET_TOKENS,
        temperature=TEMPERATURE,
        **changes,
    )


def trl_inputs(settings: Update, examples: Sequence[Example]) -> dict[str, Tensor]:
    """Prompts padded on the left, completions on the right, as TRL lays them out."""
    before, anchor = (all_logprobs(policy(seed), examples) for seed in (1, 2))
    sampler = [example.sampler_logprobs for example in examples]
    is_corrected = settings.importance_correction is not None
    mask = right_padded([np.ones(len(example.completion_tokens)) for example in examples])
    tool_mask = right_padded([example.is_target.astype(float) for example in examples])
    prompts = [example.prompt_tokens[::-1] for example in examples]
    importance = (right_padded(before) - right_padded(sampler)).exp()
    inputs = {
        "prompt_ids": right_padded(prompts).flip(1).long(),
        "prompt_mask": right_padded([np.ones(len(prompt)) for prompt in prompts]).flip(1).long(),
        "completion_ids": right_padded([example.completion_tokens for example in examples]).long(),
        "completion_mask": mask.long(),
        "tool_mask": tool_mask.long(),
        "advantages": right_padded([example.advantages for example in examples]),
        "old_per_token_logps": right_padded(before if is_corrected else sampler),
        "ref_per_token_logps": right_padded(anchor),
        "importance_sampling_ratio": importance.clamp(max=CAP),
        "num_items_in_batch": tool_mask.sum(),
    }
    is_one_each = all(np.ptp(example.advantages) == 0 for example in examples)
    return inputs | ({"advantages": inputs["advantages"][:, 0]} if is_one_each else {})


def all_logprobs(
    model: PreTrainedModel, examples: Sequence[Example]
) -> list[Float[np.ndarray, " token"]]:
    """Of each completion's tokens."""
    return [logprobs(model, one.prompt_tokens, one.completion_tokens) for one in examples]


def right_padded(rows: Sequence[Any]) -> Tensor:
    """Rows of numbers as one float64 rectangle, 0 behind each."""
    return torch.nn.utils.rnn.pad_sequence(
        [torch.as_tensor(row, dtype=torch.float64) for row in rows], True
    )


def flat_gradient(model: PreTrainedModel) -> np.ndarray:
    """Of all parameters, end to end."""
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).numpy()


def difference(one: Measured, other: Measured) -> float:
    """The largest, over the gradient's elements."""
    return float(np.abs(one.gradient - other.gradient).max())

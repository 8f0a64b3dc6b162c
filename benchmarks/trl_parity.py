"""Our policy losses against TRL's: value and gradient, in float64.

Reads   nothing; installs TRL and what it needs beside this environment into --folder (22 MiB, no
        torch of its own).
Writes  a table on stdout.
Method  One random Llama policy, ragged rollouts with forced tokens. TRL's side is the real
        `GRPOTrainer`, made by its own constructor, and its `_compute_loss` as it stands. TRL 1.16
        computes log-probabilities in a kernel that rounds to float32, whatever the model; `exact`
        gives the loss log-probabilities in float64 instead, `as shipped` leaves the kernel in. Ours
        is `PolicyLoss` as an update runs it, cut into micro-batches. Prompts are of one length: TRL
        pads them on the left without telling the model, whose rotary positions are float32. Where
        names differ: TRL's `bnpo` is `dapo` over one minibatch. `gspo` is its `grpo` with ratios by
        sequence, compared where a rollout has one advantage and one weight: else ours is
        GSPO-token, which TRL 1.16 lacks; and without KL, which TRL then weighs by the sequence's
        ratio, we by the token's. The bound of `cispo` is `epsilon_high` there and 1 + clip_high
        here; there is no lower one (clip_low 1).
Claim   exact: values and gradients differ by less than 1e-10.

Example: python -m benchmarks.trl_parity --folder .venv/var/trl
"""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from stages.contracts.params.recipes.update import Update
from stages.contracts.params.whole import load
from stages.engines.policy_loss import Example, PolicyLoss
from stages.running.errors import command
from tests.tiny import tiny_llama

PINS = (
    "trl==1.16.0",
    "accelerate==1.15.0",
    "datasets==5.2.0",
    "dill==0.4.1",
    "multiprocess==0.70.19",
    "xxhash==4.1.0",
)
CLAIMED_DIFFERENCE = 1e-10
VOCABULARY, TEMPERATURE, NUM_PROMPT_TOKENS, BUDGET_TOKENS = 23, 0.8, 3, 12
CLIP_LOW, CLIP_HIGH, KL, ENTROPY, CAP = 0.2, 0.28, 0.3, 0.2, 1.3
PPO: dict[str, Any] = {"epsilon": CLIP_LOW, "epsilon_high": CLIP_HIGH}


class Case(NamedTuple):
    """One comparison: the loss's name here, its settings on either side, and whose advantages are
    one a rollout.
    """

    name: str
    ours: dict[str, Any]
    trl: dict[str, Any]
    is_per_token: bool


class Measured(NamedTuple):
    """A loss and its gradient over all parameters, laid end to end."""

    value: float
    gradient: np.ndarray


def main(folder: Path, params_file: Path = Path("params.yaml")) -> None:
    """Compare every loss that TRL has too."""
    start_again_with_trl(folder)
    base = load(params_file).recipes["information"].update.model_dump()
    print(
        f"{'loss':40} {'value':>12} {'gradient':>10} {'exact: Δ value':>15} {'Δ gradient':>11} {'as shipped':>11}"
    )
    worst = 0.0
    with TemporaryDirectory() as scratch:
        for case in cases():
            examples = rollouts(case.is_per_token)
            changes = {"objective": {"name": "outcome"}, **case.ours, "micro_batch_tokens": 26}
            settings = Update.model_validate({**base, **changes})
            ours = by_us(settings, examples)
            exact, shipped = (
                by_trl(case, settings, examples, Path(scratch), is_exact)
                for is_exact in (True, False)
            )
            values, gradients = abs(ours.value - exact.value), difference(ours, exact)
            worst = max(worst, values, gradients)
            size = np.abs(ours.gradient).max()
            figures = f"{ours.value:12.8f} {size:10.6f} {values:15.1e} {gradients:11.1e} {difference(ours, shipped):11.1e}"
            print(f"{case.name:40} {figures}", flush=True)
    print(f"largest difference {worst:.1e}; claimed: below {CLAIMED_DIFFERENCE:.0e}")
    if worst >= CLAIMED_DIFFERENCE:
        raise SystemExit(1)


def start_again_with_trl(folder: Path) -> None:
    """If this process does not see TRL, become one that does."""
    environment = environment_with_trl(folder)
    if find_spec("trl") is None:  # transformers looks for packages once, when it is imported
        command = [sys.executable, "-m", "benchmarks.trl_parity", *sys.argv[1:]]
        os.execve(sys.executable, command, environment)  # noqa: S606
    warnings.filterwarnings("ignore")
    disable_progress_bar()


def environment_with_trl(folder: Path) -> dict[str, str]:
    """The environment of a process that sees TRL; puts the pinned packages into `folder`, once."""
    if not (folder / "trl").is_dir():
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        subprocess.run([*pip, "--target", folder, *PINS], check=True)
    return {**os.environ, "PYTHONPATH": str(folder.resolve()), "HF_HUB_OFFLINE": "1"}


def cases() -> Iterator[Case]:
    """Each loss with one advantage a rollout and one a token, with and without the terms that may
    be added.
    """
    plain: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "grpo": ({"clip_low": CLIP_LOW, "clip_high": CLIP_LOW}, {"epsilon": CLIP_LOW}),
        "grpo, two bounds": ({}, PPO),
        "dr_grpo": ({}, PPO),
        "dapo": ({}, PPO),
        "bnpo (our dapo)": ({}, PPO),
        "gspo": ({}, {**PPO, "loss_type": "grpo", "importance_sampling_level": "sequence"}),
        "cispo": ({"clip_low": 1.0, "clip_high": CLIP_HIGH}, {"epsilon_high": 1 + CLIP_HIGH}),
    }
    for name, (ours, theirs) in plain.items():
        kind = name.split(",")[0].split(" ")[0]
        ours = {
            "loss": "dapo" if kind == "bnpo" else kind,
            "clip_low": CLIP_LOW,
            "clip_high": CLIP_HIGH,
            **ours,
        }
        theirs = {"loss_type": kind, **theirs}
        yield Case(name, ours, theirs, False)
        if kind != "gspo":
            yield Case(f"{name}, advantage per token", ours, theirs, True)
            ours_kl, theirs_kl = {**ours, "kl_coefficient": KL}, {**theirs, "beta": KL}
            yield Case(f"{name}, kl", ours_kl, theirs_kl, True)
            truncated = {**ours_kl, "importance_correction": {"kind": "truncate", "cap": CAP}}
            yield Case(f"{name}, kl, truncated importance", truncated, theirs_kl, True)
        yield Case(
            f"{name}, entropy",
            {**ours, "entropy_coefficient": ENTROPY},
            {**theirs, "entropy_coef": ENTROPY},
            False,
        )


def policy(seed: int) -> PreTrainedModel:
    """A random Llama in float64: 0 is the policy, 1 what it was before its first step, 2 the
    reference.
    """
    return tiny_llama(VOCABULARY, seed, torch.float64)


def logprobs(
    model: PreTrainedModel, prompt: Sequence[int], completion: Sequence[int]
) -> np.ndarray:
    """Of each completion token, by a pass over the one rollout."""
    tokens = torch.tensor([[*prompt, *completion]])
    with torch.no_grad():
        logits = (
            model(input_ids=tokens, use_cache=False).logits[0, len(prompt) - 1 : -1] / TEMPERATURE
        )
    return logits.log_softmax(-1)[torch.arange(len(completion)), torch.tensor(completion)].numpy()


def rollouts(is_per_token: bool) -> list[Example]:
    """Six rollouts whose ratios fall on either side of the bounds, some with a forced token."""
    rng, examples = np.random.default_rng(2), []
    model = policy(0)
    for num_completion in (9, 3, 6, 1, 8, 12):
        prompt, completion = (
            rng.integers(2, VOCABULARY, n).tolist() for n in (NUM_PROMPT_TOKENS, num_completion)
        )
        sampler = logprobs(model, prompt, completion) + 0.3 * rng.standard_normal(num_completion)
        advantages = rng.standard_normal(num_completion if is_per_token else 1) * np.ones(
            num_completion
        )
        is_target = (
            np.arange(num_completion) != num_completion // 2 if num_completion > 3 else sampler < 0
        )
        examples.append(Example(prompt, completion, sampler, advantages, is_target, is_target))
    return examples


def by_us(settings: Update, examples: Sequence[Example]) -> Measured:
    """As an update runs it: the round's policy prepares, the moved one is differentiated."""
    model = policy(0)
    reference = policy(2) if settings.kl_coefficient else None
    loss = PolicyLoss(settings, TEMPERATURE, BUDGET_TOKENS, "float32", reference)
    total = 0.0
    for share in loss.minibatch(
        model, loss.prepare(policy(1), examples), {}, lambda num_tokens: None
    ):
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
    """A `GRPOTrainer`; with `is_exact` its log-probabilities come from the logits in the model's
    own precision.
    """
    from datasets import Dataset  # type: ignore[import-not-found]
    from trl import GRPOConfig, GRPOTrainer  # type: ignore[import-not-found]

    class InModelPrecision(GRPOTrainer):  # type: ignore[misc]
        def _get_per_token_logps_and_entropies(
            self,
            model: Any,
            input_ids: Tensor,
            attention_mask: Tensor,
            logits_to_keep: int,
            **rest: Any,
        ) -> tuple[Tensor, Tensor, None]:
            logits = model(
                input_ids=input_ids, attention_mask=attention_mask, use_cache=False
            ).logits
            spread = (logits[:, -logits_to_keep - 1 : -1] / self.temperature).log_softmax(-1)
            chosen = spread.gather(-1, input_ids[:, -logits_to_keep:].unsqueeze(-1)).squeeze(-1)
            return chosen, -(spread.exp() * spread).sum(-1), None

    model.save_pretrained(
        folder
    )  # with `beta` TRL loads a reference from where the policy says it is from
    model.config._name_or_path = str(folder)
    vocabulary = {f"t{token}": token for token in range(VOCABULARY)}
    config = GRPOConfig(
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
    return (InModelPrecision if is_exact else GRPOTrainer)(
        model=model,
        reward_funcs=lambda completions, **rest: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_dict({"prompt": ["t1"] * 2}),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(WordLevel(vocabulary, unk_token="t1")),
            pad_token="t0",
            eos_token="t1",
        ),
    )


def trl_inputs(settings: Update, examples: Sequence[Example]) -> dict[str, Tensor]:
    """Prompts padded on the left, completions on the right, as TRL lays them out."""
    before, anchor = (
        [
            logprobs(policy(seed), example.prompt_tokens, example.completion_tokens)
            for example in examples
        ]
        for seed in (1, 2)
    )
    sampler = [example.sampler_logprobs for example in examples]
    is_corrected = settings.importance_correction is not None
    mask = right_padded([np.ones(len(example.completion_tokens)) for example in examples])
    tool_mask = right_padded([example.is_target.astype(float) for example in examples])
    prompts = [example.prompt_tokens[::-1] for example in examples]
    inputs = {
        "prompt_ids": right_padded(prompts).flip(1).long(),
        "prompt_mask": right_padded([np.ones(len(prompt)) for prompt in prompts]).flip(1).long(),
        "completion_ids": right_padded([example.completion_tokens for example in examples]).long(),
        "completion_mask": mask.long(),
        "tool_mask": tool_mask.long(),
        "advantages": right_padded([example.advantages for example in examples]),
        "old_per_token_logps": right_padded(before if is_corrected else sampler),
        "ref_per_token_logps": right_padded(anchor),
        "importance_sampling_ratio": (right_padded(before) - right_padded(sampler))
        .exp()
        .clamp(max=CAP),
        "num_items_in_batch": tool_mask.sum(),
    }
    is_one_each = all(np.ptp(example.advantages) == 0 for example in examples)
    return inputs | ({"advantages": inputs["advantages"][:, 0]} if is_one_each else {})


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


if __name__ == "__main__":
    command(main)

"""The optimizer steps of one update."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from stages.contracts.params.recipes.update import Update
from stages.engines.computing import Precision
from stages.engines.policy import load_policy
from stages.engines.training import ranks
from stages.engines.training.example import Example, IsToken
from stages.engines.training.policy_loss import PolicyLoss
from stages.engines.training.trainer import Trainer
from stages.pure.seeds import derive_seed
from stages.running.progress import ProgressBar


class Sampling(NamedTuple):
    """How the round was sampled, as far as its loss must know."""

    temperature: float
    budget_tokens: int


def load_loss(
    settings: Update, sampling: Sampling, precision: Precision, reference: Path | None = None
) -> PolicyLoss:
    """The recipe's loss, and the policy that it holds the new one near."""
    held = None
    if reference is not None:
        held = load_policy(reference)
        ranks.shard_model(held)
    return PolicyLoss(settings, sampling.temperature, sampling.budget_tokens, precision, held)


def train(
    trainer: Trainer,
    loss: PolicyLoss,
    examples: Sequence[Example],
    settings: Update,
    seed: int,
    unfinished: Path,
) -> list[IsToken]:
    """Take all optimizer steps that are left, keeping a checkpoint in `unfinished`.

    Returns:
        Of each example, the completion tokens that the loss clipped in the last epoch.
    """
    ends = np.cumsum([len(example.completion_tokens) for example in examples])
    trainer.kept["is_clipped"] = torch.zeros(int(ends[-1]), dtype=torch.bool)
    # of the parent policy: a checkpoint is further on
    prepared = loss.prepare(trainer.model, examples)
    steps = minibatches(len(examples), settings, seed)
    trainer.resume(unfinished)
    done = sum(map(len, steps[: trainer.num_steps]))
    with ProgressBar("update", sum(map(len, steps)), unit="rollout", done=done) as progress:
        for rows in steps[trainer.num_steps :]:
            watched: dict[str, float] = {}
            clipped: dict[int, IsToken] = {}
            batch = [prepared[row] for row in rows]
            record = trainer.step(
                loss.minibatch(trainer.model, batch, watched, progress.tokens, clipped)
            )
            record.update(watched)
            for item, is_clipped in ranks.gathered(clipped).items():
                kept, end = trainer.kept["is_clipped"], int(ends[rows[item]])
                kept[end - len(is_clipped) : end] = torch.from_numpy(is_clipped)
            trainer.save_at_times(unfinished)
            progress.add(len(rows))
    return np.split(trainer.kept["is_clipped"].numpy(), ends[:-1])


def minibatches(num_examples: int, settings: Update, seed: int) -> list[list[int]]:
    """Example indices of each step: every example once an epoch, in an order drawn from `seed`."""
    steps = []
    for epoch in range(settings.epochs):
        rng = np.random.default_rng(derive_seed("minibatches", seed, epoch))
        order = rng.permutation(num_examples)
        rows_of_steps = np.array_split(order, settings.minibatches_per_epoch)
        steps += [rows.tolist() for rows in rows_of_steps if len(rows)]
    return steps

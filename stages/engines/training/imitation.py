"""Training by imitation: weighted next-token loss on given texts, resumable to the same bytes.

Batches are drawn without replacement by seed; the learning rate warms up, then falls by a cosine. A
checkpoint every few seconds makes a killed run go on where it stopped.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from stages.contracts.params.inits.sft import Sft
from stages.engines.computing import Precision, at_least_float32, autocast
from stages.engines.training.ranks import own_work
from stages.engines.training.trainer import Trainer
from stages.engines.varlen import packed_inputs
from stages.pure.losses import token_logprobs, weighted_nll
from stages.pure.packing import micro_batches, pack
from stages.running.progress import ProgressBar


class WeightedText(NamedTuple):
    """Tokens of a text to imitate, and the loss weight of each as a target.

    What is only read weighs nothing.
    """

    tokens: list[int]
    weights: list[float]


def batches(lengths: Sequence[int], batch_tokens: int, epochs: int, seed: int) -> list[list[int]]:
    """Row indices of each step: every row once an epoch, in an order drawn from `seed`."""
    steps: list[list[int]] = []
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
        ends = np.cumsum(np.array(lengths)[order])
        cuts = np.searchsorted(ends, np.arange(batch_tokens, ends[-1], batch_tokens))
        steps += [rows.tolist() for rows in np.split(order, cuts)]
    return [step for step in steps if step]


def learning_rate_scale(step: int, num_steps: int, settings: Sft) -> float:
    """Linear warm-up, then a cosine down to `final_learning_rate_frac`."""
    warmup = max(1, round(settings.warmup_frac * num_steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, num_steps - warmup)
    floor = settings.final_learning_rate_frac
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def train(
    stage: str,
    trainer: Trainer,
    examples: Sequence[WeightedText],
    settings: Sft,
    precision: Precision,
    seed: int,
    unfinished: Path,
) -> None:
    """Take all steps that are left, keeping a checkpoint in `unfinished`."""
    lengths = [len(example.tokens) for example in examples]
    steps = batches(lengths, settings.batch_tokens, settings.epochs, seed)
    trainer.resume(unfinished)
    done = sum(lengths[row] for rows in steps[: trainer.num_steps] for row in rows)
    with ProgressBar(stage, settings.epochs * sum(lengths), unit="tok", done=done) as progress:
        for rows in steps[trainer.num_steps :]:
            losses = batch_losses(
                trainer.model, [examples[row] for row in rows], settings, precision
            )
            trainer.step(losses, learning_rate_scale(trainer.num_steps, len(steps), settings))
            num_tokens = sum(lengths[row] for row in rows)
            progress.add(num_tokens)
            progress.tokens(num_tokens)
            trainer.save_at_times(unfinished)


def batch_losses(
    model: PreTrainedModel, batch: Sequence[WeightedText], settings: Sft, precision: Precision
) -> Iterator[Float[Tensor, ""]]:
    """Shares of a batch's weighted mean next-token loss, nats.

    Each is to be back-propagated before the next is asked for. Examples are packed end to end into
    rows; without `micro_batch_tokens` all rows are one share.
    """
    lengths = [len(example.tokens) for example in batch]
    rows = pack(lengths, settings.row_tokens)
    width = max(settings.row_tokens, *lengths)
    tokens = torch.zeros(len(rows), width, dtype=torch.long)
    weights = torch.zeros(len(rows), width)
    for row, items in enumerate(rows):
        laid = [token for item in items for token in batch[item].tokens]
        tokens[row, : len(laid)] = torch.tensor(laid)
        weights[row, : len(laid)] = torch.tensor(
            [weight for item in items for weight in batch[item].weights]
        )
    total = weights.sum()
    groups = micro_batches([width] * len(rows), settings.micro_batch_tokens or tokens.numel())
    for piece, counts in own_work([len(group) * width for group in groups]):
        group = groups[piece]
        spans = [[lengths[item] for item in rows[row]] for row in group]
        loss = _rows_loss(model, tokens[group], weights[group], spans, precision) / total
        yield loss if counts else 0.0 * loss


def _rows_loss(
    model: PreTrainedModel,
    tokens: Int[Tensor, "row token"],
    weights: Float[Tensor, "row token"],
    spans: Sequence[Sequence[int]],
    precision: Precision,
) -> Float[Tensor, ""]:
    """Weighted sum of the next-token loss over packed rows.

    Each row is of examples as long as its `spans` say.
    """
    inputs = packed_inputs(model, spans, tokens.shape[1])
    with autocast(model, precision):
        logits = model(input_ids=tokens.to(model.device), **inputs, use_cache=False).logits
    targets = tokens[:, 1:].to(model.device)
    return weighted_nll(
        token_logprobs(at_least_float32(logits[:, :-1]), targets), weights[:, 1:].to(model.device)
    )


def summary(history: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The loss curve in about 100 points, each a mean of the steps around it, and its end."""
    losses = [record["loss"] for record in history]
    points = np.array_split(losses, max(1, min(100, len(losses))))
    curve = [round(float(point.mean()), 6) for point in points if len(point)]
    return {
        "num_steps": len(losses),
        "final_loss": curve[-1] if curve else None,
        "loss_curve": curve,
    }

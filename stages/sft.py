"""Train an initial policy on demonstrations, from random weights.

Reads   problems, demos; params.yaml `inits.<init>`.
Writes  a policy folder: safetensors weights, configuration, tokenizer.
Method  Next-token loss on the completion only, weighted by what a token is: the policy's own verdicts are rare and
        worth most. Batches are drawn without replacement by seed; the learning rate warms up, then falls by a cosine.
        A checkpoint every few seconds makes a killed run go on where it stopped, to the same bytes.

Example: python -m stages.sft --init r0 --problems data/problems.parquet --demos data/demos/r0.parquet \
         --policy data/policies/r0
"""

import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from stages.contracts import params, tables
from stages.contracts.errors import command
from stages.contracts.facts import RunFacts
from stages.contracts.progress import Progress
from stages.contracts.publish import atomic, scratch, write_json
from stages.contracts.render import Renderer
from stages.engines.device import exclusive_device
from stages.engines.policy import new_policy, save_policy
from stages.engines.trainer import Trainer, use_threads
from stages.pure.losses import token_logprobs, weighted_nll
from stages.pure.packing import pack, pack_mask, pack_positions
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems
from stages.tasks.task import Format

CHECKPOINT_SECONDS = "KNOWHOW_CHECKPOINT_SECONDS"


class Example(NamedTuple):
    """Prompt, completion and end-of-text tokens, and the loss weight of each token as a target."""

    tokens: list[int]
    weights: list[float]


def main(
    init: str,
    problems: Path,
    demos: Path,
    policy: Path,
    metrics: Path,
    params_file: Path = Path("params.yaml"),
    scratch_root: Path = Path("data/.scratch"),
) -> None:
    """Train the initial policy of one init."""
    everything = params.load(params_file)
    settings = everything.inits[init]
    facts = RunFacts("sft")
    form = load_format(everything.task)
    shown = tables.read(demos, tables.DEMOS)
    prompts = {p.problem_id: p.prompt for p in read_problems(problems, split="train")}
    texts = shown["text"].to_pylist()
    renderer = Renderer(form.tokenizer([*prompts.values(), *texts]))
    asked = [prompts[problem_id] for problem_id in shown["problem_id"].to_pylist()]
    examples = render(form, renderer, asked, texts, settings.sft.loss_weights)
    use_threads()

    with (
        exclusive_device("sft"),
        scratch(scratch_root, f"sft-{init}", settings.model_dump(), [problems, demos]) as unfinished,
    ):
        model = new_policy(settings.model, renderer, form.token_values, settings.seed)
        trainer = Trainer(model, settings.sft.optimizer)
        with facts.phase("training"):
            train(trainer, examples, settings.sft, settings.seed, unfinished)
        with atomic(policy) as beside:
            save_policy(model, renderer, beside)
        write_json(metrics, summary(trainer.history))
    facts.count(num_tokens=sum(len(e.tokens) for e in examples) * settings.sft.epochs)
    facts.write(policy)


def summary(history: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The loss curve in about 100 points, each the mean of the steps around it, and where it ended."""
    losses = [record["loss"] for record in history]
    points = np.array_split(losses, min(100, len(losses)))
    curve = [round(float(point.mean()), 6) for point in points]
    return {"num_steps": len(losses), "final_loss": curve[-1], "loss_curve": curve}


def render(
    form: Format, renderer: Renderer, prompts: Sequence[str], texts: Sequence[str], weights: params.LossWeights
) -> list[Example]:
    """Tokens and loss weights of each demonstration; prompt tokens weigh nothing."""
    verdicts = {token for word in form.self_verdicts for token in renderer.encode(word)}
    examples = []
    for prompt, text in zip(prompts, texts, strict=True):
        thinking, cue, answer = text.rpartition(form.cue)
        asked, thought = renderer.encode(prompt), renderer.encode(thinking)
        answered = [*renderer.encode(cue + answer), renderer.eos_token]
        thought_weights = [weights.verdict if t in verdicts else weights.attempt for t in thought]
        examples.append(
            Example(
                [*asked, *thought, *answered],
                [0.0] * len(asked) + thought_weights + [weights.answer] * len(answered),
            )
        )
    return examples


def batches(lengths: Sequence[int], batch_tokens: int, epochs: int, seed: int) -> list[list[int]]:
    """Row indices of each step: every row once an epoch, in an order drawn from `seed`."""
    steps: list[list[int]] = []
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
        ends = np.cumsum(np.array(lengths)[order])
        cuts = np.searchsorted(ends, np.arange(batch_tokens, ends[-1], batch_tokens))
        steps += [part.tolist() for part in np.split(order, cuts)]
    return [step for step in steps if step]


def learning_rate_scale(step: int, num_steps: int, settings: params.Sft) -> float:
    """Linear warm-up, then a cosine down to `final_learning_rate_frac`."""
    warmup = max(1, round(settings.warmup_frac * num_steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, num_steps - warmup)
    floor = settings.final_learning_rate_frac
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def train(trainer: Trainer, examples: Sequence[Example], settings: params.Sft, seed: int, unfinished: Path) -> None:
    """Take all steps that are left."""
    lengths = [len(example.tokens) for example in examples]
    steps = batches(lengths, settings.batch_tokens, settings.epochs, seed)
    trainer.resume(unfinished)
    done = sum(lengths[row] for rows in steps[: trainer.num_steps] for row in rows)
    period = float(os.environ.get(CHECKPOINT_SECONDS, "10"))
    saved = time.monotonic()
    with Progress("sft", settings.epochs * sum(lengths), unit="tok", done=done) as progress:
        for rows in steps[trainer.num_steps :]:
            loss = batch_loss(trainer, [examples[row] for row in rows], settings)
            trainer.step([loss], learning_rate_scale(trainer.num_steps, len(steps), settings))
            num_tokens = sum(lengths[row] for row in rows)
            progress.add(num_tokens)
            progress.tokens(num_tokens)
            if time.monotonic() - saved > period:
                trainer.save(unfinished)
                saved = time.monotonic()


def batch_loss(trainer: Trainer, batch: Sequence[Example], settings: params.Sft) -> torch.Tensor:
    """Weighted mean next-token loss of one batch, nats; its examples are packed end to end into rows."""
    device = trainer.model.device
    lengths = [len(example.tokens) for example in batch]
    rows = pack(lengths, settings.row_tokens)
    width = max(settings.row_tokens, *lengths)
    tokens = torch.zeros(len(rows), width, dtype=torch.long)
    weights = torch.zeros(len(rows), width)
    for row, items in enumerate(rows):
        laid = [token for item in items for token in batch[item].tokens]
        tokens[row, : len(laid)] = torch.tensor(laid)
        weights[row, : len(laid)] = torch.tensor([weight for item in items for weight in batch[item].weights])
    spans = [[lengths[item] for item in items] for items in rows]
    mask = np.stack([pack_mask(span, width) for span in spans])
    positions = np.stack([pack_positions(span, width) for span in spans])
    logits = trainer.model(
        input_ids=tokens.to(device),
        attention_mask=torch.from_numpy(mask).unsqueeze(1).to(device),
        position_ids=torch.from_numpy(positions).to(device),
        use_cache=False,
    ).logits
    loss = weighted_nll(token_logprobs(logits[:, :-1], tokens[:, 1:].to(device)), weights[:, 1:].to(device))
    return loss / weights.sum()


if __name__ == "__main__":
    command(main)

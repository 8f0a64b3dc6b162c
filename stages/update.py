"""Update the policy on a validated round.

Reads   policy, rollouts, scores, segments, gains, the round's validation; params.yaml `rounds.<round>` and its
        recipe's `update`.
Writes  the next policy; ledger, one row per rollout: what became of its tokens; metrics of the update, and of
        each step, to plot.
Method  An advantage per token from outcome and progress (`stages.pure.credit`), PPO clip against the sampler's own
        log-probabilities (`stages.pure.losses`), mean over the tokens of a minibatch. Trained ids are the sampled
        ids; forced tokens are context, never targets. Checkpoints make a killed run go on, to the same bytes.

Example: python -m stages.update --round-id i1 --policy data/policies/r0 --rollouts data/rounds/i1/rollouts.parquet \
         --scores data/rounds/i1/scores.parquet --segments data/rounds/i1/segments.parquet \
         --gains data/rounds/i1/gains.parquet --validation data/rounds/i1/validation.json \
         --next-policy data/policies/i1 --ledger data/rounds/i1/ledger.parquet --metrics data/metrics/updates/i1.json \
         --steps data/metrics/curves/updates/i1.json
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stages.contracts import params, tables
from stages.contracts.errors import BadInput, command
from stages.contracts.facts import RunFacts
from stages.contracts.progress import Progress
from stages.contracts.publish import atomic, read_json, scratch, write_json
from stages.contracts.render import Renderer
from stages.engines.device import exclusive_device
from stages.engines.policy import load_policy, save_policy
from stages.engines.trainer import Trainer, use_threads
from stages.pure import credit
from stages.pure.accounting import Status, statuses
from stages.pure.losses import entropy, ppo_clip, token_logprobs
from stages.pure.packing import micro_batches, pad
from stages.pure.seeds import derive_seed

Columns = dict[str, list[Any]]


class Example(NamedTuple):
    """One rollout to train on: its tokens, and for each completion token log-probability, advantage, is it a target."""

    prompt_tokens: list[int]
    completion_tokens: list[int]
    sampler_logprobs: np.ndarray
    advantages: np.ndarray
    is_target: np.ndarray

    @property
    def num_tokens(self) -> int:
        """Prompt and completion."""
        return len(self.prompt_tokens) + len(self.completion_tokens)


def main(
    round_id: str,
    policy: Path,
    rollouts: Path,
    scores: Path,
    segments: Path,
    gains: Path,
    validation: Path,
    next_policy: Path,
    ledger: Path,
    metrics: Path,
    steps: Path,
    params_file: Path = Path("params.yaml"),
    scratch_root: Path = Path("data/.scratch"),
) -> None:
    """Make the next policy from one round."""
    everything = params.load(params_file)
    entry = everything.rounds[round_id]
    recipe = everything.recipes[entry.recipe]
    facts = RunFacts("update")
    if read_json(validation).get("success") is not True:
        raise BadInput(f"{validation} does not say success; run `dvc repro validate@{round_id}` and mend what it names")
    sampled = tables.read(rollouts, tables.ROLLOUTS).to_pydict()
    scored = tables.read(scores, tables.SCORES, ["rollout_id", "reward"]).to_pydict()
    cut = tables.read(segments, tables.SEGMENTS).to_pydict()
    gained = tables.read(gains, tables.GAINS, ["rollout_id", "segment_index", "progress"]).to_pydict()
    rewards = floats(scored["reward"])
    advantages = token_advantages(sampled, rewards, cut, gained, recipe.update)
    examples, rows = assemble(sampled, rewards, advantages, recipe.update.mask_truncated)
    if not examples:
        raise BadInput(
            f"{rollouts}: no rollout of {len(rows)} has anything to learn from (statuses {count_statuses(rows)}); "
            "raise num_problems or group_size, or choose easier problems"
        )
    use_threads()

    inputs = [policy, rollouts, scores, segments, gains]
    with (
        exclusive_device("update"),
        scratch(scratch_root, f"update-{round_id}", [entry.model_dump(), recipe.model_dump()], inputs) as unfinished,
    ):
        renderer = Renderer.of_policy(policy)
        trainer = Trainer(load_policy(policy), recipe.update.optimizer)
        with facts.phase("training"):
            train(trainer, examples, recipe, entry.seed, renderer.pad_token, unfinished)
        write_json(metrics, summary(rows, trainer.history))
        write_json(steps, [{"step": step, **record} for step, record in enumerate(trainer.history)])
        tables.write(ledger, tables.LEDGER, rows)
        with atomic(next_policy) as beside:
            save_policy(trainer.model, renderer, beside)
    facts.count(num_tokens=sum(example.num_tokens for example in examples) * recipe.update.epochs)
    facts.write(next_policy)


def floats(values: Sequence[float | None]) -> np.ndarray:
    """A column as float64, NaN for null."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def token_advantages(
    sampled: Columns, rewards: np.ndarray, cut: Columns, gained: Columns, settings: params.Update
) -> list[np.ndarray]:
    """An advantage for every completion token of every rollout, by the recipe's objective."""
    row_of = {rollout_id: row for row, rollout_id in enumerate(sampled["rollout_id"])}
    _, groups = np.unique(sampled["problem_id"], return_inverse=True)
    outcome = credit.group_normalized(rewards, groups, settings.normalize_by_std, settings.std_epsilon)
    rollout_of_segment = np.array([row_of[rollout_id] for rollout_id in cut["rollout_id"]], dtype=int)
    is_answer = np.array(cut["kind"]) == "answer"
    earned = np.zeros(len(is_answer))
    if settings.objective == "information":
        progress = dict(
            zip(
                zip(gained["rollout_id"], gained["segment_index"], strict=True), floats(gained["progress"]), strict=True
            )
        )
        keys = zip(cut["rollout_id"], cut["segment_index"], strict=True)
        per_segment = np.array([progress.get(key, np.nan) for key in keys])
        earned = credit.myopic(per_segment, groups[rollout_of_segment], settings.credit_baseline)
    by_segment = credit.segment_advantages(outcome, earned, rollout_of_segment, is_answer, settings.alpha)
    advantages = [np.zeros(len(tokens)) for tokens in sampled["completion_tokens"]]
    for row, start, end, value in zip(
        rollout_of_segment, cut["start_token"], cut["end_token"], by_segment, strict=True
    ):
        advantages[row][start:end] = value
    return advantages


def assemble(
    sampled: Columns, rewards: np.ndarray, advantages: Sequence[np.ndarray], mask_truncated: bool
) -> tuple[list[Example], list[dict[str, Any]]]:
    """The rollouts to train on, and the ledger of all of them."""
    is_truncated = np.array(sampled["finish_reason"]) == "length"
    largest = np.array([np.abs(values).max(initial=0.0) for values in advantages])
    examples, rows = [], []
    for row, status in enumerate(statuses(rewards, is_truncated, largest, mask_truncated)):
        tokens = sampled["completion_tokens"][row]
        is_target = np.ones(len(tokens), dtype=bool)
        is_target[sampled["forced_start"][row] : sampled["forced_end"][row]] = False
        num_sampled = int(is_target.sum())
        is_trained = status is Status.TRAINED
        if is_trained:
            logprobs = np.array(sampled["sampler_logprobs"][row])
            examples.append(Example(sampled["prompt_tokens"][row], tokens, logprobs, advantages[row], is_target))
        rows.append(
            {
                "rollout_id": sampled["rollout_id"][row],
                "problem_id": sampled["problem_id"][row],
                "status": status,
                "num_trained_tokens": num_sampled if is_trained else 0,
                "num_forced_tokens": len(tokens) - num_sampled,
                "num_untrained_tokens": 0 if is_trained else num_sampled,
                "mean_advantage": float(advantages[row][is_target].mean()) if is_trained else 0.0,
            }
        )
    return examples, rows


def count_statuses(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Rollouts by status."""
    return {str(status): sum(row["status"] == status for row in rows) for status in Status}


def train(
    trainer: Trainer, examples: Sequence[Example], recipe: params.Recipe, seed: int, pad_token: int, unfinished: Path
) -> None:
    """Take all optimizer steps that are left, a checkpoint after each."""
    steps = minibatches(len(examples), recipe.update, seed)
    trainer.resume(unfinished)
    done = sum(map(len, steps[: trainer.num_steps]))
    with Progress("update", sum(map(len, steps)), unit="rollout", done=done) as progress:
        for rows in steps[trainer.num_steps :]:
            batch = [examples[row] for row in rows]
            watched: dict[str, float] = {}
            record = trainer.step(losses(trainer, batch, recipe, pad_token, watched, progress))
            record.update(watched)
            trainer.save(unfinished)
            progress.add(len(rows))


def minibatches(num_examples: int, settings: params.Update, seed: int) -> list[list[int]]:
    """Example indices of each step: every example once an epoch, in an order drawn from the round's seed."""
    steps = []
    for epoch in range(settings.epochs):
        order = np.random.default_rng(derive_seed("minibatches", seed, epoch)).permutation(num_examples)
        steps += [part.tolist() for part in np.array_split(order, settings.minibatches_per_epoch) if len(part)]
    return steps


def losses(
    trainer: Trainer,
    batch: Sequence[Example],
    recipe: params.Recipe,
    pad_token: int,
    watched: dict[str, float],
    progress: Progress,
) -> Iterator[Tensor]:
    """Each micro-batch's share of the minibatch loss; `watched` gathers what to look at beside it."""
    settings, device = recipe.update, trainer.model.device
    num_targets = sum(int(example.is_target.sum()) for example in batch)
    sums = dict.fromkeys(("clip_frac", "mean_ratio", "kl_nats", "entropy_nats"), 0.0)
    largest = 0.0
    for rows in micro_batches([example.num_tokens for example in batch], settings.micro_batch_tokens):
        part = [batch[row] for row in rows]
        tokens = pad([[*e.prompt_tokens, *e.completion_tokens] for e in part], pad_token).to(device)
        behaviour, advantages, mask = (_align(part, name, tokens.shape[1]).to(device) for name in Example._fields[2:])
        logits = trainer.model(input_ids=tokens[:, :-1], use_cache=False).logits
        logprobs = token_logprobs(logits, tokens[:, 1:], recipe.rollout.temperature)
        terms = ppo_clip(logprobs, behaviour, advantages, mask.bool(), settings.clip_low, settings.clip_high)
        with torch.no_grad():
            spread = entropy(logits / recipe.rollout.temperature)
            largest = max(largest, float(((logprobs - behaviour) * mask).abs().max()))
        for name, value in (
            ("clip_frac", terms.clipped),
            ("mean_ratio", terms.ratio),
            ("kl_nats", terms.kl_nats),
            ("entropy_nats", (spread * mask).sum()),
        ):
            sums[name] += float(value)
        progress.tokens(sum(example.num_tokens for example in part))
        yield terms.loss / num_targets
    watched.update({name: value / num_targets for name, value in sums.items()})
    watched["max_logprob_difference_nats"] = largest


def summary(rows: Sequence[dict[str, Any]], history: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Token counts by what became of them, and the course of the update."""
    by_status = {
        status: sum(row["num_untrained_tokens"] for row in rows if row["status"] == status) for status in Status
    }
    by_status[Status.TRAINED] = sum(row["num_trained_tokens"] for row in rows)
    first, last = history[0], history[-1]
    return {
        "tokens": {**by_status, "forced": sum(row["num_forced_tokens"] for row in rows)},
        "num_steps": len(history),
        "entropy_nats": {"first": first["entropy_nats"], "last": last["entropy_nats"]},
        "max_logprob_difference_nats": first["max_logprob_difference_nats"],
        "mean_clip_frac": float(np.mean([record["clip_frac"] for record in history])),
        "mean_kl_nats": float(np.mean([record["kl_nats"] for record in history])),
        "mean_grad_norm": float(np.mean([record["grad_norm"] for record in history])),
    }


def _align(batch: Sequence[Example], name: str, width: int) -> Tensor:
    """A completion's per-token values, placed where the model predicts those tokens."""
    values = torch.zeros(len(batch), width - 1)
    for row, example in enumerate(batch):
        start = len(example.prompt_tokens) - 1
        values[row, start : start + len(example.completion_tokens)] = torch.as_tensor(
            getattr(example, name), dtype=torch.float32
        )
    return values


if __name__ == "__main__":
    command(main)

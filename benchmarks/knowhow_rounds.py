"""Our side of `benchmarks.against_trl`: one stage in a process of its own, a round each time the parent asks.

Reads   a policy, prompts, settings in --job; for `update` and `losses` the rollouts that `rollout` left.
Writes  rollouts beside the job; one JSON object a line on stdout.
Method  `rollout` is `stages.rollout.sample` and its table, as `benchmarks.rollout_speed` runs it; the engine was made
        before. `update` is all from that table to the next policy's folder: the policy loaded, advantages,
        `stages.update.train` with its checkpoints. `losses` takes the same steps in the table's own order.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmarks.trl_rounds import clocks, reward, since
from stages.contracts import tables
from stages.contracts.errors import command
from stages.contracts.publish import read_json
from stages.contracts.recipe_params import Recipe
from stages.contracts.render import Renderer
from stages.engines.pool import OneEngine
from stages.engines.sampler import Answering
from stages.pure.credit import group_normalized

if TYPE_CHECKING:
    from stages.engines.policy_loss import Example, PolicyLoss

SEED = 1
Turn = Callable[[], int]


def main(job: Path, stage: Literal["rollout", "update", "losses"]) -> None:
    """Run a stage as the parent asks for it."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # progress bars and libraries print
    found, folder = read_json(job), job.parent
    if stage == "losses":
        print(json.dumps(losses_of(found, folder)), file=answers, flush=True)
        return
    turn = rollouts_of(found, folder) if stage == "rollout" else updates_of(found, folder)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    while sys.stdin.readline():
        begin = clocks()
        num_tokens = turn()
        told = {stage: since(begin), "num_tokens": num_tokens}
        print(json.dumps(told), file=answers, flush=True)


def rollouts_of(job: Mapping[str, Any], folder: Path) -> Turn:
    """Start the engine; the turn samples a round and gives the number of tokens sampled."""
    from stages import rollout
    from stages.engines.vllm_sampler import VllmSampler

    renderer = Renderer.of_policy(folder / "policy")
    settings = Recipe.model_validate(job["recipe"]).rollout
    answering = Answering(job["cue_tokens"], settings.answer_tokens)
    sampler = VllmSampler(folder / "policy")
    work = [
        {
            "rollout_id": f"b/{number}/{index}",
            "problem_id": f"{number}",
            "sample_index": index,
            "policy_id": "b",
            "prompt_tokens": renderer.encode(prompt),
            "seed": number * settings.group_size + index,
            "temperature": settings.temperature,
        }
        for number, prompt in enumerate(job["prompts"])
        for index in range(settings.group_size)
    ]

    def turn() -> int:
        with TemporaryDirectory() as unfinished:
            shards = rollout.sample("b", OneEngine(sampler), work, answering, settings, Path(unfinished))
            rows = list(tables.merged(shards, tables.ROLLOUTS))
            tables.write(folder / "rollouts.parquet", tables.ROLLOUTS, rows)
        return sum(len(row["completion_tokens"]) - (row["forced_end"] - row["forced_start"]) for row in rows)

    return turn


def updates_of(job: Mapping[str, Any], folder: Path) -> Turn:
    """The turn trains on the rollouts that lie there and gives the number of completion tokens in them."""
    from stages import update
    from stages.engines.policy import load_policy, save_policy
    from stages.engines.trainer import Trainer, use_threads

    use_threads()
    recipe = Recipe.model_validate(job["recipe"])

    def turn() -> int:
        with TemporaryDirectory() as unfinished:
            trainer, loss = Trainer(load_policy(folder / "policy"), recipe.update.optimizer), loss_of(job, recipe)
            examples = examples_of(folder)
            update.train(trainer, loss, examples, recipe.update, SEED, Path(unfinished))
            save_policy(trainer.model, Renderer.of_policy(folder / "policy"), folder / "next")
        return sum(len(example.completion_tokens) for example in examples)

    return turn


def loss_of(job: Mapping[str, Any], recipe: Recipe) -> "PolicyLoss":
    """The constant length of its `dr_grpo` is TRL's: the longest completion."""
    from stages.engines.policy_loss import PolicyLoss

    return PolicyLoss(recipe.update, recipe.rollout.temperature, job["completion_tokens"], "float32", None)


def examples_of(folder: Path) -> "list[Example]":
    """The rollouts that lie there, each with the advantage of its made-up grade in its group."""
    from stages.engines.policy_loss import Example

    rows = tables.read(folder / "rollouts.parquet", tables.ROLLOUTS).to_pylist()
    rewards = np.array([reward(row["completion_tokens"]) for row in rows])
    groups = np.unique([row["problem_id"] for row in rows], return_inverse=True)[1]
    advantages = group_normalized(rewards, groups, normalize_by_std=False, std_epsilon=1e-4)
    examples = []
    for row, advantage in zip(rows, advantages, strict=True):
        index = np.arange(len(row["completion_tokens"]))
        is_target = (index < row["forced_start"]) | (index >= row["forced_end"])
        tokens, logprobs = row["completion_tokens"], np.array(row["sampler_logprobs"])
        own = np.full(len(index), advantage)
        examples.append(Example(row["prompt_tokens"], tokens, logprobs, own, is_target, is_target))
    return examples


def losses_of(job: Mapping[str, Any], folder: Path) -> dict[str, Sequence[float]]:
    """Loss and gradient norm of each step, the rollouts taken in the order of their table."""
    from stages.engines.policy import load_policy
    from stages.engines.trainer import Trainer, use_threads

    use_threads()
    recipe = Recipe.model_validate(job["recipe"])
    trainer, loss = Trainer(load_policy(folder / "policy"), recipe.update.optimizer), loss_of(job, recipe)
    prepared = loss.prepare(trainer.model, examples_of(folder))
    for _ in range(recipe.update.epochs):
        for rows in np.array_split(np.arange(len(prepared)), recipe.update.minibatches_per_epoch):
            batch = [prepared[row] for row in rows]
            trainer.step(loss.minibatch(trainer.model, batch, {}, lambda num_tokens: None))
    return {name: [record[name] for record in trainer.history] for name in ("loss", "grad_norm")}


if __name__ == "__main__":
    command(main)

"""TRL's side of `benchmarks.trl.speed`: its `GRPOTrainer` as it stands, a round at each request.

Reads   a policy, prompts, settings in --job; TRL must be importable. For `losses` the rollouts that
        we sampled.
Writes  one JSON object a line on stdout.
Method  `trainer.train()` runs once for all rounds and waits where each begins. `rollout` is its
        `_generate`, which detokenizes too; `update` all the rest of a round: the old
        log-probabilities, rewards, advantages, steps. `losses` instead hands the trainer our
        rollouts by its `rollout_func`, in their order, and tells each step's loss and gradient
        norm.
"""

import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from benchmarks.measuring import Spent, clocks, since
from benchmarks.rollout_rows import is_sampled
from stages.contracts.params.recipes.recipe import Recipe
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.running.errors import command
from stages.running.publish import read_json

GENERATIONS = ("transformers", "vllm", "continuous")


def main(job: Path, generation: str = "transformers", losses: bool = False) -> None:
    """Run rounds as the parent asks for them, or the one round of our rollouts."""
    warnings.filterwarnings("ignore")
    disable_progress_bar()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print
    settings = read_json(job)
    torch.set_num_threads(settings["threads"])
    if losses:
        print(json.dumps(losses_of(settings, job.parent)), file=answers, flush=True)
        return
    trainer = make_trainer(settings, job.parent, generation)
    trainer.begin_rounds(answers)
    trainer.train()
    trainer.end_round()


def make_trainer(
    job: Mapping[str, Any], folder: Path, generation: str, rollout_func: Any = None
) -> Any:
    """A `GRPOTrainer` that keeps time and asks before each round."""
    from datasets import Dataset  # type: ignore[import-not-found]
    from trl import GRPOTrainer  # type: ignore[import-not-found]

    class Rounds(GRPOTrainer):  # type: ignore[misc]
        def begin_rounds(self, answers: Any) -> None:
            self.answers, self.num_tokens = answers, 0
            self.began: Spent | None = None
            self.generating = Spent(0.0, 0.0)

        def end_round(self) -> None:
            assert self.began is not None
            both, rollout = since(self.began), self.generating
            update = [a - b for a, b in zip(both, rollout, strict=True)]
            line = {"rollout": rollout, "update": update, "num_tokens": self.num_tokens}
            print(json.dumps(line), file=self.answers, flush=True)

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            if self.began:
                self.end_round()
            else:
                print(json.dumps({"ready": True}), file=self.answers, flush=True)
            sys.stdin.readline()
            self.began = clocks()
            return super()._generate_and_score_completions(inputs)

        def _generate(self, prompts: Any) -> Any:
            begin = clocks()
            generated = super()._generate(prompts)
            self.generating = since(begin)
            self.num_tokens = sum(map(len, generated[1]))
            return generated

    policy = str(folder / "policy")
    return (GRPOTrainer if rollout_func else Rounds)(
        model=AutoModelForCausalLM.from_pretrained(
            policy, dtype=torch.float32, attn_implementation="sdpa"
        ),
        reward_funcs=lambda completion_ids, **rest: [reward(tokens) for tokens in completion_ids],
        args=grpo_config(job, folder, generation),
        train_dataset=Dataset.from_dict({"prompt": job["prompts"]}),
        processing_class=AutoTokenizer.from_pretrained(policy),
        rollout_func=rollout_func,
    )


def grpo_config(job: Mapping[str, Any], folder: Path, generation: str) -> Any:
    """Our recipe in TRL's words.

    Gradient checkpointing, its default, is off: it would cost a forward pass.
    """
    from trl import GRPOConfig

    recipe = Recipe.model_validate(job["recipe"])
    rollout, update, optimizer = recipe.rollout, recipe.update, recipe.update.optimizer
    num_rollouts = len(job["prompts"]) * rollout.group_size
    minibatch = num_rollouts // update.minibatches_per_epoch
    return GRPOConfig(
        output_dir=str(folder / "trl"),
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        save_strategy="no",
        logging_steps=1,
        shuffle_dataset=False,
        max_steps=job["num_rounds"] * update.epochs * update.minibatches_per_epoch,
        num_generations=rollout.group_size,
        max_completion_length=job["completion_tokens"],
        temperature=rollout.temperature,
        per_device_train_batch_size=job["micro_batch_rollouts"],
        gradient_accumulation_steps=minibatch // job["micro_batch_rollouts"],
        steps_per_generation=num_rollouts // job["micro_batch_rollouts"],
        num_iterations=update.epochs,
        loss_type=update.loss,
        epsilon=update.clip_low,
        epsilon_high=update.clip_high,
        scale_rewards="none",
        learning_rate=optimizer.learning_rate,
        lr_scheduler_type="constant",
        adam_beta1=optimizer.betas[0],
        adam_beta2=optimizer.betas[1],
        weight_decay=optimizer.weight_decay,
        max_grad_norm=optimizer.max_grad_norm,
        use_vllm=generation == "vllm",
        use_transformers_continuous_batching=generation == "continuous",
    )


def reward(tokens: Sequence[int]) -> float:
    """A made-up grade: 1 where a completion's ids add up to an even number; groups are mixed."""
    return float(sum(tokens) % 2 == 0)


def losses_of(job: Mapping[str, Any], folder: Path) -> dict[str, list[float]]:
    """Loss and gradient norm of each step on our rollouts, taken in the order of their table."""
    import trl.trainer.grpo_trainer as module  # type: ignore[import-not-found]

    rows = read_table(folder / "rollouts.parquet", ROLLOUTS).to_pylist()
    module.shuffle_sequence_dict = lambda batch: batch

    def ours(prompts: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
        masks = [is_sampled(row).astype(int).tolist() for row in rows]
        return {
            "prompt_ids": [row["prompt_tokens"] for row in rows],
            "completion_ids": [row["completion_tokens"] for row in rows],
            "logprobs": [row["sampler_logprobs"] for row in rows],
            "env_mask": masks,
        }

    trainer = make_trainer({**job, "num_rounds": 1}, folder, "transformers", ours)
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {name: column(steps, name) for name in ("loss", "grad_norm")}


def column(records: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """One figure of each step."""
    return [float(record[name]) for record in records]


if __name__ == "__main__":
    command(main)

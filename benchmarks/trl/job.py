"""The round that both sides of `benchmarks.trl.speed` run: policy, prompts, settings."""

import shutil
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM

from stages.contracts.params.inits.model import ModelShape
from stages.contracts.params.whole import Params
from stages.contracts.render import Renderer
from stages.engines.new_policy import llama_config
from stages.engines.policy import save_policy
from stages.running.publish import write_json
from stages.tasks.formats import load_format
from stages.tasks.sources import load_source

RECIPE, INIT, THREADS = "outcome", "r0", 2


def write_job(
    folder: Path, everything: Params, policy: Path | None, num_prompts: int, num_rounds: int
) -> Path:
    """The policy, and in job.json all that both sides must agree on."""
    form = load_format(everything.task)
    renderer = Renderer(form.tokenizer([]))
    cue_tokens = renderer.cue_tokens(form)
    if policy is None:
        save_policy(endless_policy(everything, renderer, cue_tokens), renderer, folder / "policy")
    else:
        shutil.copytree(policy, folder / "policy")

    problems = load_source(everything.task).problems()
    easiest = (problem for problem in problems if problem.split == "train")
    prompts = [problem.prompt for problem in islice(easiest, num_prompts)]
    rollout, update = everything.recipes[RECIPE].rollout, everything.recipes[RECIPE].update
    completion_tokens = rollout.budget_tokens + 1 + rollout.answer_tokens
    widest = max(len(renderer.encode(prompt)) for prompt in prompts) + completion_tokens
    minibatch = num_prompts * rollout.group_size // update.minibatches_per_epoch
    job = {
        "prompts": prompts,
        "cue_tokens": cue_tokens,
        "recipe": recipe_of_both(everything, num_prompts),
        "completion_tokens": completion_tokens,
        "num_rounds": num_rounds,
        "threads": THREADS,
        "micro_batch_rollouts": largest_divisor(minibatch, update.micro_batch_tokens // widest),
    }
    write_json(folder / "job.json", job)
    return folder / "job.json"


def recipe_of_both(everything: Params, num_prompts: int) -> Mapping[str, Any]:
    """The recipe with the loss that TRL has too, and a shard of rollouts for each thread."""
    recipe = everything.recipes[RECIPE].model_dump(mode="json")
    recipe["update"] |= {"normalize_by_std": False, "loss": "dr_grpo"}
    recipe["update"]["row_tokens"] = recipe["update"]["micro_batch_tokens"]
    recipe["rollout"]["shard_rollouts"] = num_prompts * recipe["rollout"]["group_size"] // THREADS
    return recipe


def largest_divisor(minibatch: int, most: int) -> int:
    """Rollouts of a micro-batch, `most` at most: TRL's micro-batches are all of one size."""
    return max(size for size in range(1, most + 1) if minibatch % size == 0)


def endless_policy(
    everything: Params, renderer: Renderer, cue_tokens: list[int]
) -> LlamaForCausalLM:
    """A random decoder of the default's shape that writes neither cue nor end of text.

    Every token's embedding has a share that no layer takes away and that speaks against these two
    alone.
    """
    shape = everything.inits[INIT].model
    assert isinstance(shape, ModelShape)
    config = llama_config(shape, renderer)
    config.tie_word_embeddings = False
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 0.2
        model.lm_head.weight.normal_(std=0.2)
        model.lm_head.weight[[*renderer.stop_tokens, cue_tokens[0]], 0] = -20.0
    return model

"""Both sides get the same round, and the endless policy never ends a text."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.trl.job import largest_divisor, write_job
from stages.contracts.params.recipes.recipe import Recipe
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.engines.policy import load_policy


@pytest.mark.parametrize(
    ("minibatch", "most", "expected"), [(96, 86, 48), (192, 86, 64), (96, 96, 96), (7, 3, 1)]
)
def test_micro_batches_are_of_one_size(minibatch: int, most: int, expected: int) -> None:
    assert largest_divisor(minibatch, most) == expected


def test_the_endless_policy_writes_neither_cue_nor_end(tmp_path: Path) -> None:
    everything = load(Path("params.yaml"))
    job = json.loads(write_job(tmp_path, everything, None, num_prompts=2, num_rounds=1).read_text())
    model, renderer = load_policy(tmp_path / "policy"), Renderer.of_policy(tmp_path / "policy")
    prompt = renderer.encode(job["prompts"][0])
    every_token = torch.arange(renderer.vocabulary_size).unsqueeze(1)
    continued = torch.cat([torch.tensor([prompt] * len(every_token)), every_token], 1)
    with torch.no_grad():
        logits = model(continued).logits
    never = logits.softmax(-1)[..., [renderer.eos_token, *job["cue_tokens"]]]
    assert never.max() < 1e-9


def test_the_recipe_has_the_loss_that_trl_has_too(tmp_path: Path) -> None:
    everything = load(Path("params.yaml"))
    job = json.loads(write_job(tmp_path, everything, None, num_prompts=6, num_rounds=1).read_text())
    recipe = Recipe.model_validate(job["recipe"])
    assert recipe.update.loss == "dr_grpo"
    assert recipe.rollout.shard_rollouts == 6 * recipe.rollout.group_size // job["threads"]

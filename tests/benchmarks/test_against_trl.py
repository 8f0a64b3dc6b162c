"""What the comparison with TRL makes of both sides' figures, and that its policy never ends a text."""

import json
from pathlib import Path

import pytest
import torch
from benchmarks.against_trl import (
    OURS,
    TRL,
    Losses,
    Spent,
    Turn,
    compare,
    micro_batch_rollouts,
    ratios,
    table,
    write_job,
)
from benchmarks.knowhow_rounds import examples_of
from benchmarks.trl_rounds import reward

from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.engines.policy import load_policy

TURNS = {
    TRL: [Turn(100, Spent(2.0, 3.0), Spent(2.0, 3.0)), Turn(100, Spent(1.0, 2.0), Spent(3.0, 4.0))],
    OURS: [Turn(90, Spent(0.5, 0.5), Spent(1.0, 1.0)), Turn(90, Spent(1.0, 1.0), Spent(2.0, 2.0))],
}


def test_ratios_are_of_tokens_a_second_turn_by_turn() -> None:
    assert ratios(TURNS, "rollout", "seconds") == pytest.approx([3.6, 0.9])
    assert ratios(TURNS, "both", "seconds") == pytest.approx([2.4, 1.2])
    assert ratios(TURNS, "both", "processor_seconds") == pytest.approx([3.6, 1.8])


def test_the_table_says_what_does_not_hold() -> None:
    found = table(TURNS, {"trl": 9.0}, Losses(2, 1.0, 1e-9, 1e-9))
    assert "by the clock 1.80 [1.20 … 2.40], of processors 2.70 [1.80 … 3.60]" in found
    assert "2 times TRL's tokens/s: DOES NOT HOLD; losses within 0.0001: holds" in found


def test_losses_are_compared_step_by_step() -> None:
    ours, theirs = (
        {"loss": [0.5, -2.0], "grad_norm": [1.0, 3.0]},
        {"loss": [0.5, -2.25], "grad_norm": [1.0, 2.0]},
    )
    assert compare(ours, theirs) == Losses(2, 2.0, 0.25, 0.5)
    with pytest.raises(ValueError, match="zip"):
        compare(ours, {"loss": [0.5], "grad_norm": [1.0]})


@pytest.mark.parametrize(
    ("minibatch", "most", "found"), [(96, 86, 48), (192, 86, 64), (96, 96, 96), (7, 3, 1)]
)
def test_micro_batches_are_of_one_size(minibatch: int, most: int, found: int) -> None:
    assert micro_batch_rollouts(minibatch, most) == found


def test_the_endless_policy_writes_neither_cue_nor_end(tmp_path: Path) -> None:
    everything = load(Path("params.yaml"))
    job = json.loads(write_job(tmp_path, everything, None, num_prompts=2, num_rounds=1).read_text())
    model, renderer = load_policy(tmp_path / "policy"), Renderer.of_policy(tmp_path / "policy")
    prompt = renderer.encode(job["prompts"][0])
    everything_possible = torch.arange(renderer.vocabulary_size).unsqueeze(1)
    with torch.no_grad():
        logits = model(
            torch.cat([torch.tensor([prompt] * len(everything_possible)), everything_possible], 1)
        ).logits
    never = logits.softmax(-1)[..., [renderer.eos_token, *job["cue_tokens"]]]
    assert never.max() < 1e-9


def test_a_grade_becomes_an_advantage_in_its_group(tmp_path: Path) -> None:
    rows = [
        {
            "rollout_id": f"b/{problem}/{index}",
            "problem_id": str(problem),
            "sample_index": index,
            "policy_id": "b",
            "prompt_tokens": [1, 5],
            "seed": 0,
            "temperature": 1.0,
            "completion_tokens": [7, 3, index],
            "sampler_logprobs": [-1.0, 0.0, -1.0],
            "num_thinking_tokens": 1,
            "forced_start": 1,
            "forced_end": 2,
            "finish_reason": "forced",
        }
        for problem in range(2)
        for index in range(2)
    ]
    write_table(tmp_path / "rollouts.parquet", ROLLOUTS, rows)
    assert [reward(row["completion_tokens"]) for row in rows] == [1.0, 0.0, 1.0, 0.0]
    examples = examples_of(tmp_path)
    assert [example.advantages.tolist() for example in examples[:2]] == [[0.5] * 3, [-0.5] * 3]
    assert examples[0].is_target.tolist() == [True, False, True]

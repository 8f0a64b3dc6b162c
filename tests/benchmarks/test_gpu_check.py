"""The check for a GPU, run on the CPU at a tiny size: every part of it but batch invariance."""

import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from benchmarks.gpu_check import RECIPE, SIZES, sized, table
from benchmarks.gpu_parts import boundaries, matrix_product_flops, num_differing, num_multiplied
from fixtures.checkouts import ROOT, run, succeed
from fixtures.decoders import tiny_llama
from stages.contracts.params.whole import load
from stages.engines.turns import Trace

CHECK = [sys.executable, "-m", "benchmarks.gpu_check"]


def test_a_tiny_round_runs_on_the_cpu(tmp_path: Path) -> None:
    out = tmp_path / "check.json"
    words = ["--size", "tiny", "--device", "cpu", "--repeats", "1", "--out", str(out)]
    printed = succeed([*CHECK, *words], ROOT)
    report = json.loads(out.read_text())
    assert report["versions"]["torch"] == torch.__version__
    assert report["rollout"]["num_differing"] == 0
    assert report["rollout"]["tokens_per_second"]["ours"] > 0
    assert report["train"]["update"]["max_logprob_difference_nats"] < 1e-4
    assert 0 < report["train"]["update"]["utilisation"] < 1
    assert report["train"]["probe"]["tokens_per_second"] > 0
    assert report["invariant"] == {"failed": "vLLM offers batch invariance on GPUs only"}
    assert "0 of 8 rollouts differ in a bit" in printed


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so_in_one_line() -> None:
    done = run(CHECK, ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no NVIDIA GPU on this machine")
    assert done.stderr.count("\n") == 1


def test_the_recipe_gets_this_checks_amount_of_work() -> None:
    recipe = load(Path("params.yaml")).recipes[RECIPE]
    changed = sized(SIZES["0.5B"], recipe)
    assert changed.rollout.budget_tokens == 512
    assert changed.update.epochs == 1
    assert changed.update.loss == recipe.update.loss


def test_boundaries_lie_between_prompt_and_thought() -> None:
    assert boundaries(10, 30) == [10, 20, 30, 40]
    assert boundaries(10, 0) == [10, 10, 10, 10]


def test_parameters_that_only_look_up_are_not_counted() -> None:
    tied: PreTrainedModel = tiny_llama()
    total = sum(parameter.numel() for parameter in tied.parameters())
    assert num_multiplied(tied) == total
    tied.config.tie_word_embeddings = False
    assert num_multiplied(tied) == total - 23 * 16


def test_one_bit_makes_a_rollout_differ() -> None:
    one = Trace([1, 2], [-0.5, -0.25], [0, 0], 1, "stop")
    other = Trace([1, 2], [-0.5, -0.25000000000000006], [0, 0], 1, "stop")
    assert num_differing([one, one], [one, other]) == 1


def test_the_ceiling_is_measured() -> None:
    assert matrix_product_flops(64, torch.float32) > 1e6


def test_a_part_that_failed_says_why() -> None:
    parts = {name: {"failed": f"no {name}"} for name in ("rollout", "invariant", "train")}
    text = table({"size": "tiny", "device": "none", "date": "2026-11-25", "versions": {}, **parts})
    assert text.splitlines()[1:] == [
        "rollout: no rollout",
        "invariant: no invariant",
        "train: no train",
    ]

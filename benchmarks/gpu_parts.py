"""The parts of `benchmarks.gpu_check`, each run in a process of its own."""

import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from benchmarks import measuring, rollout_speed
from benchmarks.measuring import MEBIBYTE, peak_mib
from benchmarks.rollout_rows import example_of, plan_rows
from stages import rollout
from stages.contracts.params.recipes.recipe import Recipe
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.engines.computing import Precision, use_threads
from stages.engines.device import device, exclusive_device
from stages.engines.likelihood import ProbedPrefix, answer_logprobs
from stages.engines.policy import load_policy
from stages.engines.sampler import Request, Sampler
from stages.engines.training.policy_loss import PolicyLoss
from stages.engines.training.trainer import Trainer
from stages.engines.turns import Answering, Trace, think_then_answer
from stages.running.publish import write_json
from stages.tasks.text_format import TextFormat

NUM_BOUNDARIES, NUM_ANSWERS, ANSWER_TOKENS = 4, 2, 8
TERA = 1e12


class Size(NamedTuple):
    """A Qwen3's shape, and how much work one round of it is."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_heads: int
    head_size: int
    vocabulary: int
    is_tied: bool
    num_problems: int
    group_size: int
    budget_tokens: int
    answer_tokens: int
    micro_batch_tokens: int
    matrix: int


def questions(count: int) -> list[str]:
    """Prompts of a text profile."""
    return [f"<bos>What is {7 * n % 97} times {11 * n % 89} plus {n}?\n" for n in range(count)]


def run_part(part: str, size: Size, folder: Path, repeats: int, recipe: Recipe) -> None:
    """In the part's own process."""
    with exclusive_device("gpu_check"):
        if part == "train":
            figures = train(folder, size, recipe)
        else:
            from stages.engines.samplers.vllm import VllmSampler

            sampler = VllmSampler(folder / "policy")
            job = job_of(folder, recipe)
            if part == "rollout":
                figures = sample_all(sampler, job, folder, repeats)
            else:
                figures = halves(sampler, job)
        write_json(folder / f"{part}.json", {**figures, "peak_memory_mib": peak_of_all()})


def job_of(folder: Path, recipe: Recipe) -> rollout_speed.Job:
    """The round's rollouts, planned."""
    renderer, settings = Renderer.of_policy(folder / "policy"), recipe.rollout
    prompts = [renderer.encode(prompt) for prompt in questions(settings.num_problems)]
    work = list(plan_rows("g", prompts, settings))
    answering = Answering(
        renderer.cue_tokens(TextFormat(renderer.vocabulary_size)), settings.answer_tokens
    )
    return rollout_speed.Job("g", work, answering, settings, renderer)


def sample_all(sampler: Any, job: rollout_speed.Job, folder: Path, repeats: int) -> dict[str, Any]:
    """Tokens/s of the stage's loop and of the bare engine, then twice the same rollouts."""
    engine = sampler._model
    loops: dict[str, rollout_speed.Loop] = {
        "ours": lambda: rollout_speed.ours(sampler, job),
        "bare": lambda: rollout_speed.bare(engine, job),
    }
    turns = measuring.take_turns(loops, repeats)
    one, other = (draw(sampler, job, job.work) for _ in range(2))
    rows = [rollout._row(job.renderer, *each) for each in zip(job.work, one, strict=True)]
    write_table(folder / "rollouts.parquet", ROLLOUTS, rows)
    rates = {name: median(rollout_speed.rates(of_loop)) for name, of_loop in turns.items()}
    return {
        "tokens_per_second": rates,
        "num_rollouts": len(rows),
        "num_differing": num_differing(one, other),
    }


def halves(sampler: Sampler, job: rollout_speed.Job) -> dict[str, Any]:
    """Whether a rollout depends on what is sampled beside it."""
    half = job.work[: len(job.work) // 2]
    alone, among = draw(sampler, job, half), draw(sampler, job, job.work)[: len(half)]
    return {"num_rollouts": len(half), "num_differing": num_differing(alone, among)}


def draw(sampler: Sampler, job: rollout_speed.Job, work: Any) -> list[Trace]:
    """Rollouts as they leave the engine."""
    requests = [
        Request(row["prompt_tokens"], job.settings.budget_tokens, row["seed"]) for row in work
    ]
    return think_then_answer(
        sampler, requests, job.answering, job.settings.temperature, lambda num_tokens: None
    )


def num_differing(one: list[Trace], other: list[Trace]) -> int:
    """Rollouts of which a token or a bit of a log-probability differs."""
    return sum(a != b for a, b in zip(one, other, strict=True))


def train(folder: Path, size: Size, recipe: Recipe) -> dict[str, Any]:
    """Probe and update, the ceiling, and the sampler's log-probabilities against the trainer's."""
    use_threads()
    precision: Precision = "bfloat16" if device() == "cuda" else "float32"
    model = load_policy(folder / "policy")
    rows = read_table(folder / "rollouts.parquet", ROLLOUTS).to_pylist()
    ceiling = matrix_product_flops(size.matrix, getattr(torch, precision))
    probe = probe_rate(model, rows, recipe, precision)
    update = update_rate(model, rows, recipe, precision)
    multiplied = num_multiplied(model)
    return {
        "precision": precision,
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "ceiling_tflops": ceiling / TERA,
        "probe": {"tokens_per_second": probe, "utilisation": 2 * multiplied * probe / ceiling},
        "update": {
            **update,
            "utilisation": 6 * multiplied * update["tokens_per_second"] / ceiling,
        },
    }


def num_multiplied(model: PreTrainedModel) -> int:
    """Parameters that a token is multiplied with: an embedding counts where it is the output's."""
    total = sum(parameter.numel() for parameter in model.parameters())
    if model.config.tie_word_embeddings:
        return total
    return total - model.get_input_embeddings().weight.numel()


def matrix_product_flops(size: int, dtype: torch.dtype) -> float:
    """FLOP/s of the fastest of some products of two square matrices."""
    left, right = (torch.randn(size, size, device=device()).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        begin = clock()
        left @ right
        best = min(best, clock() - begin)
    return 2 * size**3 / best


def probe_rate(
    model: PreTrainedModel, rows: list[dict[str, Any]], recipe: Recipe, precision: Precision
) -> float:
    """Tokens/s of the second pass over all traces: kernels are compiled in the first."""
    answer = list(range(3, 3 + ANSWER_TOKENS))
    traces = []
    for row in rows:
        prompt, num_thinking = row["prompt_tokens"], row["num_thinking_tokens"]
        prefix = [*prompt, *row["completion_tokens"][:num_thinking]]
        at = boundaries(len(prompt), num_thinking)
        traces.append(ProbedPrefix(prefix, at, [answer] * NUM_ANSWERS, num_cue_tokens=1))
    batch_tokens = recipe.update.micro_batch_tokens
    for _ in range(2):
        begin = clock()
        answer_logprobs(model, traces, batch_tokens, 0, precision, lambda num_tokens: None)
        seconds = clock() - begin
    return sum(trace.num_tokens for trace in traces) / seconds


def boundaries(num_prompt_tokens: int, num_thinking_tokens: int) -> list[int]:
    """Evenly apart, from the prompt's end to that of thinking."""
    last = num_prompt_tokens + num_thinking_tokens
    positions: list[int] = np.linspace(num_prompt_tokens, last, NUM_BOUNDARIES, dtype=int).tolist()
    return positions


def update_rate(
    model: PreTrainedModel, rows: list[dict[str, Any]], recipe: Recipe, precision: Precision
) -> dict[str, float]:
    """Tokens/s of all steps but the first; before it, how far sampler and trainer are apart."""
    loss = PolicyLoss(
        recipe.update, recipe.rollout.temperature, recipe.rollout.budget_tokens, precision, None
    )
    trainer = Trainer(model, recipe.update.optimizer)
    # What an advantage is takes no part in how long a step takes.
    examples = [example_of(row, 1.0 if row["sample_index"] % 2 else -1.0) for row in rows]
    prepared = loss.prepare(model, examples)
    watched: dict[str, float] = {}
    seconds, num_tokens = 0.0, 0
    steps = np.array_split(np.arange(len(rows)), recipe.update.minibatches_per_epoch)
    for number, rows_of_step in enumerate(steps):
        batch = [prepared[row] for row in rows_of_step]
        begin = clock()
        figures = {} if number else watched
        trainer.step(loss.minibatch(model, batch, figures, lambda num_tokens: None))
        if number:
            seconds += clock() - begin
            num_tokens += sum(one.num_tokens for one in batch)
    names = ("max_logprob_difference_nats", "kl_nats")
    return {"tokens_per_second": num_tokens / seconds, **{name: watched[name] for name in names}}


def clock() -> float:
    """Seconds, once the GPU has done all that was handed to it."""
    if device() == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_of_all() -> float:
    """Peak memory of this process, MiB: what torch took of the GPU; on a CPU what is resident."""
    return torch.cuda.max_memory_reserved() / MEBIBYTE if device() == "cuda" else peak_mib()

"""Answers at every boundary from one reading of a trace, against a pass for each of them.

Reads   nothing: a random decoder of the default's shape, random traces whose boundaries stand
        `segment_tokens` apart.
Writes  tables of seconds and memory on stdout; with --out the figures as JSON.
Method  `packed` is `stages.engines.likelihood.answer_logprobs`. `separate` gives every [prefix up
        to boundary, answer] a row of its own, batched to the same number of tokens, rows of like
        length together: generous, for one at a time would be slower yet. The two take turns;
        seconds are medians of those of processors. Memory is the rise of a fresh process's peak
        (VmHWM) over that of the loaded model, for one long trace. Of that trace's masks, the 128 by
        128 blocks that hold an entry are counted: the others a GPU skips. No GPU is timed here.
Claim   at 4 boundaries and more packed is faster, and its memory does not hold a square of the
        trace.

Example: python -m benchmarks.packed_pass --repeats 5
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from benchmarks import measuring
from benchmarks.measuring import MEBIBYTE
from stages.engines.computing import use_threads
from stages.engines.likelihood import (
    KEYS_PER_TOKEN,
    ProbedPrefix,
    answer_logprobs,
    block_mask,
    chunk_tokens,
    chunks,
)
from stages.pure.losses import token_logprobs
from stages.pure.packing import micro_batches, pad
from stages.running.errors import command
from stages.running.publish import write_json

NUM_BOUNDARIES = (2, 4, 8, 16, 32, 64)
VOCABULARY, PROMPT_TOKENS, ANSWER_TOKENS, NUM_ANSWERS, PAD = 230, 9, 8, 2, 0


class Timing(NamedTuple):
    """Medians of processor seconds for the same traces, and how far their results are apart."""

    num_boundaries: int
    packed_seconds: float
    separate_seconds: float
    max_difference_nats: float


class Peak(NamedTuple):
    """Rise of peak memory while one trace is probed, and what a boolean square of it would take."""

    prefix_tokens: int
    num_boundaries: int
    seconds: float
    rise_mib: float
    square_mib: float


class Blocks(NamedTuple):
    """Blocks of a trace's masks: all, and those with an entry.

    In chunks, and were there only one.
    """

    num_chunks: int
    num_blocks: int
    num_kept: int


def main(
    repeats: int = 5,
    trace_tokens: int = 20_000,
    segment_tokens: int = 9,
    micro_batch_tokens: int = 16_384,
    long_prefix_tokens: int = 16_000,
    long_num_boundaries: int = 200,
    only_memory: bool = False,
    out: Path | None = None,
) -> None:
    """Time `repeats` turns for each number of boundaries, then probe one long trace."""
    use_threads()
    model = decoder()
    if only_memory:
        peak = probe_long(model, long_prefix_tokens, long_num_boundaries, micro_batch_tokens)
        print(json.dumps(peak._asdict()))
        return
    timings = []
    for count in NUM_BOUNDARIES:
        rows = traces(trace_tokens, count, segment_tokens)
        timings.append(compare(model, rows, micro_batch_tokens, repeats))
    peak = in_fresh_process(long_prefix_tokens, long_num_boundaries, micro_batch_tokens)
    trace = long_trace(long_prefix_tokens, long_num_boundaries)
    max_tokens = chunk_tokens(1, len(trace.prefix_tokens), micro_batch_tokens * KEYS_PER_TOKEN)
    blocks = [count_blocks(trace, max_tokens), count_blocks(trace, trace.num_tokens)]
    print(table(timings, peak, blocks))
    if out is not None:
        report = {"timings": [row._asdict() for row in timings], "peak": peak._asdict()}
        write_json(out, {**report, "blocks": [row._asdict() for row in blocks]})


def decoder() -> PreTrainedModel:
    """A Llama-architecture decoder of the default's shape, weights random."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        attn_implementation="sdpa",
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config).eval()


def traces(trace_tokens: int, num_boundaries: int, segment_tokens: int) -> list[ProbedPrefix]:
    """As many traces as make up `trace_tokens` with their probes.

    Boundaries stand evenly apart, from the prompt's end on.
    """
    rng = np.random.default_rng(num_boundaries)
    boundaries = [PROMPT_TOKENS + index * segment_tokens for index in range(num_boundaries)]
    tokens_each = boundaries[-1] + num_boundaries * NUM_ANSWERS * ANSWER_TOKENS
    made = []
    for _ in range(max(1, trace_tokens // tokens_each)):
        prefix = rng.integers(1, VOCABULARY, boundaries[-1]).tolist()
        answers = rng.integers(1, VOCABULARY, (NUM_ANSWERS, ANSWER_TOKENS)).tolist()
        made.append(ProbedPrefix(prefix, boundaries, answers, num_cue_tokens=1))
    return made


def separate(
    model: PreTrainedModel, rows: Sequence[ProbedPrefix], micro_batch_tokens: int
) -> list[Float[np.ndarray, "boundary answer"]]:
    """The same log-probabilities, each from its own row."""
    places: list[tuple[int, int, int]] = []
    prompts: list[list[int]] = []
    for number, trace in enumerate(rows):
        for j, a in product(range(len(trace.boundaries)), range(NUM_ANSWERS)):
            places.append((number, j, a))
            prompts.append([*trace.prefix_tokens[: trace.boundaries[j]], *trace.answers[a]])
    results = [np.zeros((len(trace.boundaries), NUM_ANSWERS)) for trace in rows]
    predicted = ANSWER_TOKENS - 1
    with torch.no_grad():
        for batch in micro_batches([len(prompt) for prompt in prompts], micro_batch_tokens):
            tokens = pad([prompts[index] for index in batch], PAD)
            hidden = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
            ends = torch.tensor([len(prompts[index]) for index in batch])
            at = ends[:, None] - predicted + torch.arange(predicted)
            line = torch.arange(len(batch))[:, None]
            logits = model.get_output_embeddings()(hidden[line, at - 1])
            values = token_logprobs(logits, tokens[line, at])
            for index, value in zip(batch, values.double().sum(-1).tolist(), strict=True):
                number, j, a = places[index]
                results[number][j, a] = value
    return results


def compare(
    model: PreTrainedModel, rows: Sequence[ProbedPrefix], micro_batch_tokens: int, repeats: int
) -> Timing:
    """Time both in turn on the same traces."""
    ways = {
        "packed": lambda: answer_logprobs(
            model, rows, micro_batch_tokens, PAD, "float32", lambda _: None
        ),
        "separate": lambda: separate(model, rows, micro_batch_tokens),
    }
    turns = measuring.take_turns(ways, repeats)
    packed, apart = (measuring.median_processor_seconds(of_way) for of_way in turns.values())
    results = zip(*(of_way[-1].result for of_way in turns.values()), strict=True)
    difference = max(float(np.abs(a - b).max()) for a, b in results)
    return Timing(len(rows[0].boundaries), packed, apart, difference)


def long_trace(prefix_tokens: int, num_boundaries: int) -> ProbedPrefix:
    """One trace of about `prefix_tokens`, its boundaries evenly apart."""
    [trace] = traces(1, num_boundaries, (prefix_tokens - PROMPT_TOKENS) // (num_boundaries - 1))
    return trace


def count_blocks(trace: ProbedPrefix, max_tokens: int) -> Blocks:
    """Blocks of the masks of a trace's chunks of at most `max_tokens`."""
    kept = []
    for [probes] in chunks([trace], max_tokens):
        prefix_length = max(probe.boundary for probe in probes)
        width = sum(len(probe.tokens) for probe in probes)
        kept.append(block_mask([probes], prefix_length, width, torch.device("cpu")).to_dense())
    num_kept = sum(int(mask.sum()) for mask in kept)
    return Blocks(len(kept), sum(mask.numel() for mask in kept), num_kept)


def probe_long(
    model: PreTrainedModel, prefix_tokens: int, num_boundaries: int, micro_batch_tokens: int
) -> Peak:
    """Probe one long trace in this process, which has done nothing else before."""
    trace = long_trace(prefix_tokens, num_boundaries)
    before = measuring.peak_mib()
    begin = time.perf_counter()
    answer_logprobs(model, [trace], micro_batch_tokens, PAD, "float32", lambda _: None)
    seconds = time.perf_counter() - begin
    rise, square = measuring.peak_mib() - before, trace.num_tokens**2 / MEBIBYTE
    return Peak(len(trace.prefix_tokens), num_boundaries, seconds, rise, square)


def in_fresh_process(prefix_tokens: int, num_boundaries: int, micro_batch_tokens: int) -> Peak:
    """`probe_long` in a fresh interpreter: a process's peak never falls."""
    program = [sys.executable, "-m", "benchmarks.packed_pass", "--only-memory"]
    program += ["--long-prefix-tokens", str(prefix_tokens)]
    program += ["--long-num-boundaries", str(num_boundaries)]
    program += ["--micro-batch-tokens", str(micro_batch_tokens)]
    done = subprocess.run(program, check=True, capture_output=True, text=True)
    return Peak(**json.loads(done.stdout))


def table(timings: Sequence[Timing], peak: Peak, blocks: Sequence[Blocks]) -> str:
    """Times, then the long trace's memory and blocks."""
    lines = []
    for timing in timings:
        seconds = (timing.packed_seconds, timing.separate_seconds)
        figures = [f"{value:.2f}" for value in (*seconds, seconds[1] / seconds[0])]
        difference = f"{timing.max_difference_nats:.1e}"
        lines.append([str(timing.num_boundaries), *figures, difference])
    header = ("boundaries", "packed s", "separate s", "ratio", "max difference, nats")
    text = [
        measuring.table(header, lines),
        "",
        f"{peak.prefix_tokens:,} tokens, {peak.num_boundaries} boundaries: "
        f"{peak.rise_mib:,.0f} MiB and {peak.seconds:.1f} s; a boolean square of the trace and its "
        f"probes alone is {peak.square_mib:,.0f} MiB",
    ]
    for block in blocks:
        kept = f"{block.num_kept:,} of {block.num_blocks:,}"
        text.append(f"chunks: {block.num_chunks}; blocks with an entry: {kept}")
    return "\n".join(text)


if __name__ == "__main__":
    command(main)

"""Log-probabilities of many answers at many boundaries of a trace; each trace is read once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import zip_longest
from math import isqrt
from pathlib import Path
from typing import NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from transformers import Cache, DynamicCache, PreTrainedModel

from stages.engines.architecture import head_logits, is_windowed
from stages.engines.computing import Precision, at_least_float32, autocast, use_threads
from stages.engines.policy import load_policy
from stages.pure.losses import token_logprobs
from stages.pure.packing import micro_batches, pad, probe_mask, probe_positions

KEYS_PER_TOKEN = 1024
"""A mask holds at most so many entries for each of `micro_batch_tokens`, or as many as one probe
needs.
"""


@dataclass(frozen=True)
class ProbedPrefix:
    """A trace and the answers to try at its boundaries.

    `prefix_tokens` is prompt and thinking; `boundaries` are positions in it; `answers` are token
    lists, each cue and answer and end of text, of which the first `num_cue_tokens`, one or more,
    are given, not predicted.
    """

    prefix_tokens: list[int]
    boundaries: list[int]
    answers: list[list[int]]
    num_cue_tokens: int

    @property
    def num_tokens(self) -> int:
        """How many tokens go through the model: the prefix once, and every probe."""
        return len(self.prefix_tokens) + len(self.boundaries) * sum(map(len, self.answers))


class Probe(NamedTuple):
    """One answer behind one boundary; `place` is (boundary index, answer index)."""

    place: tuple[int, int]
    boundary: int
    tokens: list[int]


def open_model(policy: Path) -> PreTrainedModel:
    """A policy to read traces with, on torch's threads as every other pass."""
    use_threads()
    return load_policy(policy)


def answer_logprobs(
    model: PreTrainedModel,
    traces: Sequence[ProbedPrefix],
    micro_batch_tokens: int,
    pad_token: int,
    precision: Precision,
    on_tokens: Callable[[int], None],
    temperature: float = 1.0,
) -> list[Float[np.ndarray, "_ _"]]:
    """Log π(answer | prefix up to boundary, cue) for every boundary and answer, nats.

    π is the policy at `temperature`: softmax(logits / temperature) at every token of the answer.
    The prefixes of a micro-batch are read once, causally, and their keys and values kept. Probes
    follow in chunks, last boundary first; a probe sees the prefix up to its boundary and itself, so
    that it gets what a pass of its own over [prefix up to the boundary, probe] would give it
    (method: Quiet-STaR, arXiv 2403.09629, section 4.2, many continuations of one text in one pass).
    A chunk's mask is a rectangle, probe tokens by prefix and probe tokens, and bounded: memory
    grows with the prefix, not with its square. On a CPU attention takes the rectangle as it is; on
    a GPU it skips the blocks of it that no probe sees (`block_mask`; compared with the rectangle on
    a CPU, untried on a GPU). Traces that were one micro-batch among many get the same bits in a
    call of their own.

    Returns:
        One array [boundary, answer] for each trace, in order.
    """
    results = [np.zeros((len(trace.boundaries), len(trace.answers))) for trace in traces]
    with torch.no_grad(), autocast(model, precision):
        for rows in micro_batches([trace.num_tokens for trace in traces], micro_batch_tokens):
            batch = [traces[row] for row in rows]
            prefixes = pad([trace.prefix_tokens for trace in batch], pad_token)
            cache = DynamicCache()  # without a configuration, whose windows would make it forget
            model.base_model(
                input_ids=prefixes.to(model.device), past_key_values=cache, use_cache=True
            )
            max_tokens = chunk_tokens(
                len(batch), prefixes.shape[1], micro_batch_tokens * KEYS_PER_TOKEN
            )
            for chunk in chunks(batch, max_tokens):
                hidden, tokens = _forward(model, cache, chunk, pad_token)
                for row, trace, probes, states, ids in zip(
                    rows, batch, chunk, hidden, tokens, strict=True
                ):
                    sums = _sums(model, states, ids, probes, trace, temperature)
                    for probe, value in zip(probes, sums, strict=True):
                        results[row][probe.place] = value
            for row in rows:
                on_tokens(traces[row].num_tokens)
    return results


def chunk_tokens(num_rows: int, prefix_tokens: int, max_entries: int) -> int:
    """The most probe tokens T a row may add at once.

    num_rows · T · (prefix_tokens + T) ≤ max_entries.
    """
    return (isqrt(prefix_tokens**2 + 4 * max_entries // num_rows) - prefix_tokens) // 2


def chunks(batch: Sequence[ProbedPrefix], max_tokens: int) -> Iterator[list[list[Probe]]]:
    """Each row's probes in pieces of at most `max_tokens`, or of one probe.

    A row that has none left gives none.
    """
    pieces = [_pieces(trace, max_tokens) for trace in batch]
    for chunk in zip_longest(*pieces, fillvalue=None):
        yield [probes or [] for probes in chunk]


def _pieces(trace: ProbedPrefix, max_tokens: int) -> list[list[Probe]]:
    """Probes from the last boundary to the first.

    So a chunk's mask need be no wider than its own boundaries.
    """
    pieces: list[list[Probe]] = []
    num_tokens = 0
    for index in sorted(range(len(trace.boundaries)), key=lambda index: -trace.boundaries[index]):
        for column, tokens in enumerate(trace.answers):
            if not pieces or num_tokens + len(tokens) > max_tokens:
                pieces.append([])
                num_tokens = 0
            pieces[-1].append(Probe((index, column), trace.boundaries[index], tokens))
            num_tokens += len(tokens)
    return pieces


def _forward(
    model: PreTrainedModel, cache: Cache, chunk: Sequence[Sequence[Probe]], pad_token: int
) -> tuple[Float[Tensor, "row token hidden"], Int[Tensor, "row token"]]:
    """Last hidden states and ids of a chunk's tokens, [row, token].

    The cache is cut to what chunks before it need.
    """
    prefix_length = max(probe.boundary for probes in chunk for probe in probes)
    cache.crop(prefix_length - cache.get_seq_length())
    tokens = pad(
        [[token for probe in probes for token in probe.tokens] for probes in chunk], pad_token
    )
    width = tokens.shape[1]
    positions = torch.zeros(tokens.shape, dtype=torch.long)
    for row, probes in enumerate(chunk):
        row_positions = probe_positions(*_spans(probes))
        positions[row, : len(row_positions)] = torch.from_numpy(row_positions)
    by_blocks = skips_blocks(model)
    mask_of = block_mask if by_blocks else dense_mask
    with _flex_attention(model) if by_blocks else nullcontext():
        hidden = model.base_model(
            input_ids=tokens.to(model.device),
            attention_mask=mask_of(chunk, prefix_length, width, model.device),
            position_ids=positions.to(model.device),
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
    cache.crop(-width)
    return hidden, tokens


def skips_blocks(model: PreTrainedModel) -> bool:
    """Whether chunks go through torch's flex_attention.

    They do on a GPU, unless the architecture is not made for it.
    """
    return model.device.type == "cuda" and model._supports_flex_attn and not is_windowed(model)


@contextmanager
def _flex_attention(model: PreTrainedModel) -> Iterator[None]:
    """For chunks alone: a prefix is causal, and torch has faster kernels for that."""
    usual = model.config._attn_implementation
    model.set_attn_implementation("flex_attention")
    try:
        yield
    finally:
        model.set_attn_implementation(usual)


def _spans(probes: Sequence[Probe]) -> tuple[list[int], list[int]]:
    """Boundaries and lengths, as `probe_mask` and `probe_positions` take them."""
    return [probe.boundary for probe in probes], [len(probe.tokens) for probe in probes]


def dense_mask(
    chunk: Sequence[Sequence[Probe]], prefix_length: int, width: int, device: torch.device
) -> Bool[Tensor, "row 1 token key"]:
    """`probe_mask` of every row, padded to `width` probe tokens: [row, 1, probe token, key]."""
    mask = torch.zeros(len(chunk), 1, width, prefix_length + width, dtype=torch.bool)
    mask[..., 0] = (
        True  # what every probe sees, and padding too: attention to nothing is not a number
    )
    for row, probes in enumerate(chunk):
        row_mask = torch.from_numpy(probe_mask(prefix_length, *_spans(probes)))
        mask[row, 0, : row_mask.shape[0], : row_mask.shape[1]] = row_mask
    return mask.to(device)


def block_mask(
    chunk: Sequence[Sequence[Probe]], prefix_length: int, width: int, device: torch.device
) -> BlockMask:
    """What `dense_mask` says, by blocks of 128 by 128 entries.

    flex_attention skips a block without a True.

    A token sees the keys below `limit` and those from `first` to `last`. The three are tensors,
    `prefix_length` within them, because a number that changes with the chunk has the kernel
    compiled again, if the kernel takes it at all; and each has memory of its own, because torch
    2.13 cannot compile views of one for a CPU. The whole rectangle exists while its blocks are
    found, no longer.
    """
    shape = len(chunk), width
    limits, firsts, lasts = (
        np.ones(shape, int),
        np.ones(shape, int),
        np.zeros(shape, int),
    )  # padding sees one key
    for row, probes in enumerate(chunk):
        boundaries, lengths = _spans(probes)
        offsets = np.arange(sum(lengths))
        limits[row, : len(offsets)] = np.repeat(boundaries, lengths)
        firsts[row, : len(offsets)] = prefix_length + np.repeat(
            np.cumsum(lengths) - lengths, lengths
        )
        lasts[row, : len(offsets)] = prefix_length + offsets
    limit, first, last = (torch.from_numpy(bound).to(device) for bound in (limits, firsts, lasts))

    @no_type_check  # torch counts its arguments, and compiles it
    def sees(
        row: Int[Tensor, ""], head: Int[Tensor, ""], query: Int[Tensor, ""], key: Int[Tensor, ""]
    ) -> Bool[Tensor, ""]:
        return (key < limit[row, query]) | ((key >= first[row, query]) & (key <= last[row, query]))

    return create_block_mask(sees, len(chunk), None, width, prefix_length + width, device=device)


def _sums(
    model: PreTrainedModel,
    hidden: Float[Tensor, "token hidden"],
    tokens: Int[Tensor, " token"],
    probes: Sequence[Probe],
    trace: ProbedPrefix,
    temperature: float,
) -> list[float]:
    """Log-probability of each probe's predicted tokens, nats; one row of a chunk."""
    if not probes:
        return []
    lengths = [len(probe.tokens) for probe in probes]
    owner = torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths))
    offset = torch.from_numpy(np.concatenate([np.arange(n) for n in lengths]))
    is_predicted = offset >= trace.num_cue_tokens
    at = torch.arange(len(owner))[is_predicted]
    logits = at_least_float32(head_logits(model, hidden[at - 1])).cpu()
    sums = torch.zeros(len(lengths), dtype=torch.float64)
    logprobs = token_logprobs(logits, tokens[at], temperature)
    sums.index_add_(0, owner[is_predicted], logprobs.double())
    return sums.tolist()

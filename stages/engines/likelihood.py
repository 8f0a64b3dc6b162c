"""Log-probabilities of many answers at many boundaries of a trace, in one forward pass a row."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from stages.pure.losses import token_logprobs
from stages.pure.packing import micro_batches, pad, probe_mask, probe_positions


@dataclass(frozen=True)
class ProbedTrace:
    """A trace and the answers to try at its boundaries.

    `prefix_tokens` is prompt and thinking; `boundaries` are positions in it; `answers` are token lists, each cue
    and answer and end of text, of which the first `num_cue_tokens` are given, not predicted.
    """

    prefix_tokens: list[int]
    boundaries: list[int]
    answers: list[list[int]]
    num_cue_tokens: int

    @property
    def num_tokens(self) -> int:
        """Length of the packed row."""
        return len(self.prefix_tokens) + len(self.boundaries) * sum(map(len, self.answers))


def answer_logprobs(
    model: PreTrainedModel,
    traces: Sequence[ProbedTrace],
    micro_batch_tokens: int,
    pad_token: int,
    on_row: Callable[[int], None],
) -> list[np.ndarray]:
    """Log π(answer | prefix up to boundary, cue) for every boundary and answer, nats.

    Returns:
        One array [boundary, answer] for each trace, in order.
    """
    results: dict[int, np.ndarray] = {}
    with torch.no_grad():
        for rows in micro_batches([trace.num_tokens for trace in traces], micro_batch_tokens):
            batch = [traces[row] for row in rows]
            for row, values in zip(rows, _forward(model, batch, pad_token), strict=True):
                results[row] = values
                on_row(traces[row].num_tokens)
    return [results[row] for row in range(len(traces))]


def _forward(model: PreTrainedModel, batch: Sequence[ProbedTrace], pad_token: int) -> Iterator[np.ndarray]:
    tokens = pad([_packed_tokens(trace) for trace in batch], pad_token)
    width = tokens.shape[1]
    positions = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.eye(width, dtype=torch.bool).repeat(len(batch), 1, 1, 1)
    for row, trace in enumerate(batch):
        spans = len(trace.prefix_tokens), *_probe_spans(trace)
        positions[row, : trace.num_tokens] = torch.from_numpy(probe_positions(*spans))
        mask[row, 0, : trace.num_tokens, : trace.num_tokens] = torch.from_numpy(probe_mask(*spans))
    hidden = model.base_model(
        input_ids=tokens.to(model.device),
        attention_mask=mask.to(model.device),
        position_ids=positions.to(model.device),
        use_cache=False,
    ).last_hidden_state
    for row, trace in enumerate(batch):
        yield _sum_by_answer(model, hidden[row], tokens[row], trace)


def _sum_by_answer(model: PreTrainedModel, hidden: Tensor, tokens: Tensor, trace: ProbedTrace) -> np.ndarray:
    """Sum the log-probabilities of the predicted tokens of each probe."""
    _, lengths = _probe_spans(trace)
    owner = torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths))
    offset = torch.from_numpy(np.concatenate([np.arange(n) for n in lengths]))
    is_predicted = offset >= trace.num_cue_tokens
    at = torch.arange(len(trace.prefix_tokens), trace.num_tokens)[is_predicted]
    logits = model.get_output_embeddings()(hidden[at - 1]).cpu()
    values = token_logprobs(logits, tokens[at])
    sums = torch.zeros(len(lengths), dtype=torch.float64)
    sums.index_add_(0, owner[is_predicted], values.double())
    return sums.reshape(len(trace.boundaries), len(trace.answers)).numpy()


def _packed_tokens(trace: ProbedTrace) -> list[int]:
    probes = [token for _ in trace.boundaries for answer in trace.answers for token in answer]
    return [*trace.prefix_tokens, *probes]


def _probe_spans(trace: ProbedTrace) -> tuple[list[int], list[int]]:
    """Boundary and length of each probe, boundaries outermost."""
    boundaries = [boundary for boundary in trace.boundaries for _ in trace.answers]
    return boundaries, [len(answer) for _ in trace.boundaries for answer in trace.answers]

"""A trace read once with many probes gives what a forward pass each would, in bounded memory."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import create_mask
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from fixtures.decoders import tiny_llama
from stages.engines import likelihood
from stages.engines.likelihood import (
    ProbedPrefix,
    answer_logprobs,
    block_mask,
    chunk_tokens,
    chunks,
    dense_mask,
)
from stages.pure.information import set_success

VOCABULARY = 23
PAD = 0
TOLERANCE_NATS = 1e-4


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny_llama(VOCABULARY)


def traces() -> list[ProbedPrefix]:
    """Rows of very different lengths: one to three boundaries, one to three answers, two cues."""
    rng = np.random.default_rng(4)

    def tokens(n: int) -> list[int]:
        return rng.integers(1, VOCABULARY, n).tolist()

    def trace(
        prefix: int, boundaries: list[int], answers: list[int], num_cue_tokens: int
    ) -> ProbedPrefix:
        return ProbedPrefix(
            tokens(prefix), boundaries, [tokens(n) for n in answers], num_cue_tokens
        )

    return [
        trace(9, [3, 6, 9], [4, 2, 7], 1),
        trace(1, [1], [2], 1),
        trace(30, [1, 30], [5], 2),
        trace(12, [5, 5, 12], [3, 3], 2),
        trace(7, [7], [9, 4, 4], 1),
    ]


@st.composite
def random_traces(draw: st.DrawFn) -> list[ProbedPrefix]:
    """Any shapes: boundaries in any order and twice, ragged answers, one probe a row and many."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        prefix = draw(st.integers(1, 40))
        boundaries = draw(st.lists(st.integers(1, prefix), min_size=1, max_size=6))
        lengths = draw(st.lists(st.integers(2, 9), min_size=1, max_size=3))
        answers = [rng.integers(1, VOCABULARY, n).tolist() for n in lengths]
        rows.append(
            ProbedPrefix(rng.integers(1, VOCABULARY, prefix).tolist(), boundaries, answers, 1)
        )
    return rows


def one_by_one(model: PreTrainedModel, trace: ProbedPrefix) -> np.ndarray:
    """Log π of each answer at each boundary, by a plain pass over prefix and answer alone."""
    values = np.zeros((len(trace.boundaries), len(trace.answers)))
    for row, boundary in enumerate(trace.boundaries):
        for column, answer in enumerate(trace.answers):
            tokens = [*trace.prefix_tokens[:boundary], *answer]
            with torch.no_grad():
                logprobs = (
                    model(input_ids=torch.tensor([tokens]), use_cache=False)
                    .logits[0]
                    .log_softmax(-1)
                )
            predicted = range(boundary + trace.num_cue_tokens, len(tokens))
            values[row, column] = sum(logprobs[at - 1, tokens[at]].item() for at in predicted)
    return values


def packed(
    model: PreTrainedModel, rows: Sequence[ProbedPrefix], micro_batch_tokens: int
) -> list[np.ndarray]:
    return answer_logprobs(model, rows, micro_batch_tokens, PAD, "float32", lambda _: None)


@pytest.mark.parametrize("micro_batch_tokens", [1, 60, 10_000])
def test_one_pass_equals_a_pass_each(model: PreTrainedModel, micro_batch_tokens: int) -> None:
    in_one_pass = packed(model, traces(), micro_batch_tokens)
    for trace, values in zip(traces(), in_one_pass, strict=True):
        expected = one_by_one(model, trace)
        assert values.shape == (len(trace.boundaries), len(trace.answers))
        assert values == pytest.approx(expected, abs=TOLERANCE_NATS)
        assert np.ptp(expected) > 100 * TOLERANCE_NATS or expected.size == 1


@settings(max_examples=60, deadline=None)
@given(random_traces(), st.sampled_from([1, 100, 1000]), st.sampled_from([1, 40, 1024]))
def test_any_shapes_in_any_chunks_equal_a_pass_each(
    rows: list[ProbedPrefix], micro: int, keys: int
) -> None:
    model = tiny_llama(VOCABULARY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likelihood, "KEYS_PER_TOKEN", keys)
        in_one_pass = packed(model, rows, micro)
    for trace, values in zip(rows, in_one_pass, strict=True):
        assert values == pytest.approx(one_by_one(model, trace), abs=TOLERANCE_NATS)


@given(st.integers(1, 500), st.integers(1, 20_000), st.integers(1, 2**24))
def test_a_chunk_fills_its_mask_and_no_more(
    num_rows: int, prefix_tokens: int, max_entries: int
) -> None:
    width = chunk_tokens(num_rows, prefix_tokens, max_entries)
    assert num_rows * width * (prefix_tokens + width) <= max_entries
    assert num_rows * (width + 1) * (prefix_tokens + width + 1) > max_entries - num_rows


def test_no_mask_is_larger_than_promised(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 tokens and 100 boundaries: chunks of 1,600 tokens in all, never a square of 3,600."""
    rng = np.random.default_rng(0)
    prefix = rng.integers(1, VOCABULARY, 2000).tolist()
    boundaries = sorted(rng.integers(1, 2000, 100).tolist())
    trace = ProbedPrefix(prefix, boundaries, [rng.integers(1, VOCABULARY, 16).tolist()], 1)
    entries, widths = [], []
    build = likelihood.probe_mask

    def watch(prefix_length: int, *spans: Sequence[int]) -> np.ndarray:
        mask = build(prefix_length, *spans)
        entries.append(mask.size)
        widths.append(prefix_length)
        return mask

    monkeypatch.setattr(likelihood, "probe_mask", watch)
    monkeypatch.setattr(likelihood, "KEYS_PER_TOKEN", 64)
    [logprobs] = packed(tiny_llama(VOCABULARY), [trace], 4096)
    assert max(entries) <= 64 * 4096
    assert len(entries) > 10
    assert widths == sorted(widths, reverse=True), (
        "a chunk reads no more of the prefix than its boundaries"
    )
    assert logprobs.shape == (100, 1)


def test_the_order_of_rows_means_nothing(model: PreTrainedModel) -> None:
    forward, backward = packed(model, traces(), 10_000), packed(model, traces()[::-1], 60)[::-1]
    for values, again in zip(forward, backward, strict=True):
        assert values == pytest.approx(again, abs=TOLERANCE_NATS)


def test_a_probe_sees_what_is_before_its_boundary_and_nothing_behind_it(
    model: PreTrainedModel,
) -> None:
    trace = traces()[0]
    [before] = packed(model, [trace], 100)
    changed = [*trace.prefix_tokens]
    changed[4] = changed[4] % (VOCABULARY - 1) + 1
    [after] = packed(model, [ProbedPrefix(changed, trace.boundaries, trace.answers, 1)], 100)
    assert after[0] == pytest.approx(before[0], abs=1e-6)
    assert (np.abs(after[1:] - before[1:]) > 1e-3).all()


def test_all_one_token_answers_together_are_certain(model: PreTrainedModel) -> None:
    cue = 7
    every = ProbedPrefix(
        [3, 9, 4], [1, 3], [[cue, token] for token in range(VOCABULARY)], num_cue_tokens=1
    )
    [values] = packed(model, [every], 1000)
    assert np.exp(values).sum(axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_a_cue_of_two_tokens_is_given_not_predicted(model: PreTrainedModel) -> None:
    [values] = packed(
        model, [ProbedPrefix([3, 9], [2], [[7, 8, token] for token in range(VOCABULARY)], 2)], 1000
    )
    assert np.exp(values).sum() == pytest.approx(1, abs=1e-5)
    assert not math.isclose(values[0, 1], values[0, 2])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_the_policy_is_the_tempered_one(model: PreTrainedModel, temperature: float) -> None:
    """Every answer of two tokens, by plain passes: of softmax(logits / temperature) at each."""
    cue, prefix = 7, [3, 9, 4]
    pairs = [(first, second) for first in range(VOCABULARY) for second in range(VOCABULARY)]
    trace = ProbedPrefix(prefix, [3], [[cue, *pair] for pair in pairs], num_cue_tokens=1)
    [values] = answer_logprobs(model, [trace], 4000, PAD, "float32", lambda _: None, temperature)
    rows = torch.tensor([[*prefix, cue, first] for first in range(VOCABULARY)])
    with torch.no_grad():
        logits = model(input_ids=rows, use_cache=False).logits[:, -2:].double()
    logprobs = (logits / temperature).log_softmax(-1)
    expected = logprobs[0, 0, :, None] + logprobs[:, 1]
    assert values[0] == pytest.approx(expected.flatten().numpy(), abs=TOLERANCE_NATS)
    assert np.exp(values).sum() == pytest.approx(1, abs=1e-4)
    known = [5, 77, 300]
    assert set_success(values[:, known]) == pytest.approx(
        expected.flatten()[known].exp().sum().item(), rel=1e-3
    )


def test_temperature_one_changes_no_bit(model: PreTrainedModel) -> None:
    plain = packed(model, traces(), 60)
    tempered = answer_logprobs(model, traces(), 60, PAD, "float32", lambda _: None, 1.0)
    for values, again in zip(plain, tempered, strict=True):
        assert values.tobytes() == again.tobytes()


def test_progress_is_told_each_row_once(model: PreTrainedModel) -> None:
    token_counts: list[int] = []
    answer_logprobs(model, traces(), 60, PAD, "float32", token_counts.append)
    assert sorted(token_counts) == sorted(trace.num_tokens for trace in traces())
    assert traces()[0].num_tokens == 9 + 3 * (4 + 2 + 7)


# Blocks: what a GPU takes in place of the rectangle


CPU = torch.device("cpu")


@pytest.fixture
def by_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Chunks through flex_attention on a CPU, and no other way.

    Not compiled: that takes seconds for every shape.
    """
    monkeypatch.setattr(likelihood, "skips_blocks", lambda _: True)
    monkeypatch.delattr(likelihood, "dense_mask")
    with torch.compiler.set_stance("force_eager"):
        yield


def grouped_llama() -> PreTrainedModel:
    """Two query heads of 16 share each of two heads of keys and values."""
    shape = {
        "hidden_size": 64,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            num_key_value_heads=2,
            initializer_range=0.3,
            attn_implementation="sdpa",
            **shape,
        )
    )
    return model.eval()


@settings(max_examples=30, deadline=None)
@given(random_traces(), st.integers(10, 200))
def test_blocks_hold_the_entries_of_the_rectangle(
    rows: list[ProbedPrefix], max_tokens: int
) -> None:
    for chunk in chunks(rows, max_tokens):
        prefix_length = max(probe.boundary for probes in chunk for probe in probes)
        width = max(sum(len(probe.tokens) for probe in probes) for probes in chunk)
        expected = dense_mask(chunk, prefix_length, width, CPU)
        blocks = block_mask(chunk, prefix_length, width, CPU)
        assert torch.equal(
            create_mask(blocks.mask_mod, len(rows), 1, width, prefix_length + width, "cpu"),
            expected,
        )


def test_blocks_that_no_probe_sees_are_left_out() -> None:
    [chunk] = chunks([ProbedPrefix([1] * 256, [128, 256], [[1] * 128], 1)], max_tokens=256)
    assert block_mask(chunk, 256, 256, CPU).to_dense()[0, 0].tolist() == [
        [1, 1, 1, 0],
        [1, 0, 0, 1],
    ]


@pytest.mark.parametrize("make", [tiny_llama, grouped_llama])
@pytest.mark.usefixtures("by_blocks")
def test_blocks_equal_a_pass_each(make: Callable[[], PreTrainedModel]) -> None:
    model = make()
    usual = model.config._attn_implementation
    for trace, values in zip(traces(), packed(model, traces(), 100), strict=True):
        assert values == pytest.approx(one_by_one(model, trace), abs=TOLERANCE_NATS)
    assert model.config._attn_implementation == usual, "prefixes keep what they had"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="flex_attention's own kernels need a GPU")
def test_blocks_on_a_gpu_equal_a_pass_each() -> None:
    model = grouped_llama()
    expected = [one_by_one(model, trace) for trace in traces()]
    assert likelihood.skips_blocks(model.cuda())
    for values, separate in zip(packed(model, traces(), 10_000), expected, strict=True):
        assert values == pytest.approx(separate, abs=TOLERANCE_NATS)

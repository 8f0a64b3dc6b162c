"""Qwen3, Llama and Gemma at tiny size are one function: packed or apart, probed or read."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from experiments.tiny_checkpoint import CONFIGS, write_checkpoint
from stages.contracts.chat import Prompting
from stages.contracts.render import Renderer
from stages.engines import architecture
from stages.engines.architecture import need_known
from stages.engines.checkpoints import checkpoint_renderer, load_checkpoint
from stages.engines.likelihood import ProbedPrefix, answer_logprobs
from stages.engines.policy import load_policy, save_policy
from stages.engines.varlen import packed_inputs
from stages.running.errors import BadInput
from tests.engines.countdown_policy import contents
from tests.engines.serving import difference_nats, served

LENGTHS = (23, 40, 31)  # longer than the windows of 16
QUESTIONS = ["What is 12 + 30 + 7 - 4 + 9?", "What is 6 times 7?"]
INIT_STD = 0.15


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp(request.param) / "checkpoint"
    write_checkpoint(made, request.param, QUESTIONS, vocabulary_size=300, init_std=INIT_STD)
    return made


@pytest.fixture(scope="module")
def renderer(folder: Path) -> Renderer:
    return checkpoint_renderer(folder, Prompting(system="Be brief.", thinking_start="<think>\n"))


@pytest.fixture(scope="module")
def model(folder: Path, renderer: Renderer) -> PreTrainedModel:
    return load_checkpoint(folder, renderer)


def texts(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(4, 290, (length,), generator=generator) for length in LENGTHS]


def test_texts_packed_into_one_row_are_read_as_apart(model: PreTrainedModel, packing: str) -> None:
    inputs = packed_inputs(model, [LENGTHS], sum(LENGTHS))
    is_capped = getattr(model.config, "attn_logit_softcapping", None) is not None
    assert ("segments" in inputs) == (packing == "segments" and not is_capped)
    with torch.no_grad():
        apart = torch.cat(
            [model(input_ids=text[None], use_cache=False).logits[0] for text in texts()]
        )
        packed = model(input_ids=torch.cat(texts())[None], **inputs, use_cache=False).logits[0]
    assert apart.std() > 0.05
    torch.testing.assert_close(packed, apart, atol=2e-4, rtol=1e-4)


def test_gradients_through_a_packed_row_are_those_of_texts_apart(
    model: PreTrainedModel, packing: str
) -> None:
    def gradients(passes: list[tuple[torch.Tensor, dict[str, Any]]]) -> list[torch.Tensor]:
        model.zero_grad()
        for tokens, inputs in passes:
            logits = model(input_ids=tokens[None], **inputs, use_cache=False).logits[0]
            (logits.log_softmax(-1)[:, 7] * tokens.sin()).sum().backward()
        return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]

    apart = gradients([(text, {}) for text in texts()])
    packed = gradients([(torch.cat(texts()), packed_inputs(model, [LENGTHS], sum(LENGTHS)))])
    assert max(float(gradient.abs().max()) for gradient in apart) > 1
    torch.testing.assert_close(packed, apart, atol=2e-3, rtol=1e-3)


def test_answers_probed_in_one_pass_are_those_of_a_pass_each(
    model: PreTrainedModel, renderer: Renderer
) -> None:
    prompt = renderer.prompt_tokens(QUESTIONS[0])
    cue, ends = renderer.encode("</think>\n\n"), [renderer.eos_token]
    traces = [
        ProbedPrefix(
            prefix_tokens=[*prompt, *text.tolist()],
            boundaries=[len(prompt), len(prompt) + 9, len(prompt) + len(text)],
            answers=[
                [*cue, *renderer.encode(answer), *ends] for answer in ("54", "7 and 12 make 19")
            ],
            num_cue_tokens=len(cue),
        )
        for text in texts()
    ]
    in_one_pass = answer_logprobs(
        model, traces, 4096, renderer.pad_token, "float32", lambda _: None
    )
    for trace, values in zip(traces, in_one_pass, strict=True):
        for row, boundary in enumerate(trace.boundaries):
            for column, answer in enumerate(trace.answers):
                tokens = torch.tensor([*trace.prefix_tokens[:boundary], *answer])
                with torch.no_grad():
                    logprobs = (
                        model(input_ids=tokens[None], use_cache=False).logits[0].log_softmax(-1)
                    )
                at = torch.arange(boundary + len(cue), len(tokens))
                assert values[row, column] == pytest.approx(
                    float(logprobs[at - 1, tokens[at]].sum()), abs=2e-3
                )


def test_saved_and_loaded_again_it_is_the_same(
    folder: Path, model: PreTrainedModel, renderer: Renderer, tmp_path: Path
) -> None:
    save_policy(model, renderer, tmp_path / "r0")
    again = load_policy(tmp_path / "r0")
    assert type(again) is type(model)
    [text, *_] = texts()
    with torch.no_grad():
        assert torch.equal(again(input_ids=text[None]).logits, model(input_ids=text[None]).logits)
    theirs = Renderer.of_policy(tmp_path / "r0")
    assert theirs.prompt_tokens(QUESTIONS[1]) == renderer.prompt_tokens(QUESTIONS[1])
    assert theirs.stop_tokens == renderer.stop_tokens == [2, 3]
    save_policy(again, theirs, tmp_path / "r1")
    assert contents(tmp_path / "r1") == contents(tmp_path / "r0")
    for name in ("chat_template.jinja", "generation_config.json"):
        assert (tmp_path / "r1" / name).read_bytes() == (folder / name).read_bytes()


def test_an_architecture_with_a_head_of_its_own_is_refused(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another cap behind the head would be: log-probabilities that our head does not give."""
    need_known(model, "checkpoint x")
    monkeypatch.setattr(
        architecture, "head_logits", lambda model, hidden: 2 * model.get_output_embeddings()(hidden)
    )
    with pytest.raises(
        BadInput, match=r"checkpoint x: the architecture .*ForCausalLM gives other log-prob"
    ):
        need_known(model, "checkpoint x")


def test_vllm_samples_each_family_as_the_trainer_sees_it(tmp_path: Path) -> None:
    """Past the window too: 24 tokens behind a prompt of about 20."""
    policies, models = [], []
    for family in sorted(CONFIGS):
        write_checkpoint(
            tmp_path / family, family, QUESTIONS, vocabulary_size=300, init_std=INIT_STD
        )
        renderer = checkpoint_renderer(
            tmp_path / family, Prompting(system="Be brief.", thinking_start="<think>\n")
        )
        models.append(load_checkpoint(tmp_path / family, renderer))
        save_policy(models[-1], renderer, tmp_path / f"{family}-policy")
        policies.append(
            (
                tmp_path / f"{family}-policy",
                [renderer.prompt_tokens(question) for question in QUESTIONS],
            )
        )
    sampled = served(policies, 24, tmp_path)
    for model, (_, prompts), completions in zip(models, policies, sampled, strict=True):
        assert max(len(completion["tokens"]) for completion in completions) > 12
        assert difference_nats(model, prompts, completions) < 2e-5, type(model).__name__

"""Imitation: what each token weighs, which batches are drawn, and that packing changes nothing."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stages import sft
from stages.contracts import params
from stages.contracts.render import Renderer
from stages.engines.trainer import Trainer
from stages.sft import Example
from stages.tasks.formats import load_format
from tests.tiny import tiny_llama

EVERYTHING = params.load(Path(__file__).parent.parent / "params.yaml")
SETTINGS = EVERYTHING.inits["r0"].sft
WEIGHTS = params.LossWeights(attempt=0.5, verdict=4.0, answer=2.0)


def settings(**changes: object) -> params.Sft:
    return SETTINGS.model_copy(update=changes)


def examples(lengths: tuple[int, ...] = (7, 3, 12, 5, 9, 4)) -> list[Example]:
    """Random tokens; weights that add up exactly."""
    rng = np.random.default_rng(0)
    return [Example(rng.integers(1, 23, n).tolist(), rng.choice([0.0, 0.5, 2.0, 4.0], n).tolist()) for n in lengths]


def test_each_token_weighs_what_it_is() -> None:
    form = load_format(EVERYTHING.task)
    renderer = Renderer(form.tokenizer([]))
    prompt, text = "<bos> 3 5 7 T36 :", "3 + 5 8 << 7 + 5 12 = # 7 + 5"
    [example] = sft.render(form, renderer, [prompt], [text], WEIGHTS)
    assert example.tokens == [*renderer.encode(f"{prompt} {text}"), renderer.eos_token]
    attempts = [0.5] * 4 + [4.0] + [0.5] * 4 + [4.0]
    assert example.weights == [0.0] * 6 + attempts + [2.0] * 5  # cue, three words, end of text


def test_every_example_is_seen_once_an_epoch() -> None:
    lengths = np.random.default_rng(0).integers(1, 30, 200).tolist()
    steps = sft.batches(lengths, batch_tokens=100, epochs=2, seed=3)
    seen = [row for step in steps for row in step]
    assert sorted(seen[:200]) == sorted(seen[200:]) == list(range(200))
    assert seen[:200] != seen[200:]
    assert sft.batches(lengths, 100, 2, 3) == steps
    assert sft.batches(lengths, 100, 2, 4) != steps
    assert all(steps)
    sizes = [sum(lengths[row] for row in step) for step in steps]
    assert max(sizes) <= 100 + 30
    assert np.mean(sizes) > 80


def test_the_learning_rate_by_hand() -> None:
    shape = settings(warmup_frac=0.2, final_learning_rate_frac=0.1)
    found = [sft.learning_rate_scale(step, 10, shape) for step in (0, 1, 2, 6, 10)]
    assert found == pytest.approx([0.5, 1.0, 1.0, 0.55, 0.1])


def loss_and_gradient(row_tokens: int, batch: list[Example]) -> tuple[float, list[np.ndarray]]:
    model = tiny_llama(dtype=torch.float64)
    loss = sft.batch_loss(SimpleNamespace(model=model), batch, settings(row_tokens=row_tokens))
    loss.backward()
    return loss.item(), [parameter.grad.numpy() for parameter in model.parameters()]


def alone(batch: list[Example]) -> float:
    """The weighted mean by a pass an example."""
    model = tiny_llama(dtype=torch.float64)
    total = 0.0
    for example in batch:
        with torch.no_grad():
            logprobs = model(input_ids=torch.tensor([example.tokens]), use_cache=False).logits[0].log_softmax(-1)
        targets = zip(range(len(example.tokens) - 1), example.tokens[1:], example.weights[1:], strict=True)
        total -= sum(weight * logprobs[at, token].item() for at, token, weight in targets)
    return total / sum(sum(example.weights) for example in batch)


@pytest.mark.parametrize("row_tokens", [1, 12, 20, 64])
def test_packing_changes_nothing(row_tokens: int) -> None:
    batch = [e._replace(weights=[0.0, *e.weights[1:]]) for e in examples()]
    loss, gradient = loss_and_gradient(row_tokens, batch)
    assert loss == pytest.approx(alone(batch), abs=1e-12)
    other_loss, other_gradient = loss_and_gradient(40, batch[::-1])
    assert loss == pytest.approx(other_loss, abs=1e-12)
    for one, other in zip(gradient, other_gradient, strict=True):
        assert one == pytest.approx(other, abs=1e-12)


def test_no_example_is_asked_to_predict_the_first_token_of_the_next() -> None:
    """A prompt weighs nothing, so an example's first token, seen from the one packed before it, has no weight."""
    batch = [e._replace(weights=[0.0, *e.weights[1:]]) for e in examples((4, 4))]
    together, _ = loss_and_gradient(8, batch)
    apart, _ = loss_and_gradient(4, batch)
    assert together == pytest.approx(apart, abs=1e-12)


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sft.CHECKPOINT_SECONDS, "-1")
    shape = settings(batch_tokens=10, row_tokens=16, epochs=2)

    def trained(folder: Path, interrupt_after: int | None = None) -> Trainer:
        folder.mkdir(exist_ok=True)
        trainer = Trainer(tiny_llama(), shape.optimizer)
        if interrupt_after is not None:
            step = trainer.step

            def interrupted(*arguments: object) -> object:
                if trainer.num_steps == interrupt_after:
                    raise KeyboardInterrupt
                return step(*arguments)

            monkeypatch.setattr(trainer, "step", interrupted)
        sft.train(trainer, examples(), shape, 1, folder)
        return trainer

    whole = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", interrupt_after=3)
    resumed = trained(tmp_path / "killed")
    assert resumed.history == whole.history
    for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)

"""Imitation: which batches are drawn; neither packing nor a kill changes anything."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures.decoders import tiny_llama
from stages.contracts.params.inits.sft import LossWeights, Sft
from stages.contracts.params.optimizer import AdamW
from stages.engines.training import imitation
from stages.engines.training.imitation import WeightedText
from stages.engines.training.trainer import CHECKPOINT_SECONDS, Trainer

SETTINGS = Sft(
    epochs=1,
    batch_tokens=2048,
    row_tokens=192,
    warmup_frac=0.03,
    final_learning_rate_frac=0.05,
    loss_weights=LossWeights(attempt=0.5, verdict=4.0, answer=2.0),
    optimizer=AdamW(learning_rate=2.5e-3, betas=(0.9, 0.98), weight_decay=0.05, max_grad_norm=1.0),
)


def settings(**changes: object) -> Sft:
    return SETTINGS.model_copy(update=changes)


def examples(lengths: tuple[int, ...] = (7, 3, 12, 5, 9, 4)) -> list[WeightedText]:
    """Random tokens; weights that add up exactly, none on the first token: nothing predicts it."""
    rng = np.random.default_rng(0)
    return [
        WeightedText(
            rng.integers(1, 23, n).tolist(),
            [0.0, *rng.choice([0.0, 0.5, 2.0, 4.0], n - 1).tolist()],
        )
        for n in lengths
    ]


def test_every_example_is_seen_once_an_epoch() -> None:
    lengths = np.random.default_rng(0).integers(1, 30, 200).tolist()
    steps = imitation.batches(lengths, batch_tokens=100, epochs=2, seed=3)
    seen = [row for step in steps for row in step]
    assert sorted(seen[:200]) == sorted(seen[200:]) == list(range(200))
    assert seen[:200] != seen[200:]
    assert imitation.batches(lengths, 100, 2, 3) == steps
    assert imitation.batches(lengths, 100, 2, 4) != steps
    assert all(steps)
    sizes = [sum(lengths[row] for row in step) for step in steps]
    assert max(sizes) <= 100 + 30
    assert np.mean(sizes) > 80


def test_the_learning_rate_by_hand() -> None:
    shape = settings(warmup_frac=0.2, final_learning_rate_frac=0.1)
    scales = [imitation.learning_rate_scale(step, 10, shape) for step in (0, 1, 2, 6, 10)]
    assert scales == pytest.approx([0.5, 1.0, 1.0, 0.55, 0.1])


def loss_and_gradient(
    row_tokens: int, batch: list[WeightedText], micro_batch_tokens: int | None = None
) -> tuple[float, list[np.ndarray]]:
    model = tiny_llama(dtype=torch.float64)
    shape = settings(row_tokens=row_tokens, micro_batch_tokens=micro_batch_tokens)
    total = 0.0
    for loss in imitation.batch_losses(model, batch, shape, "float32"):
        loss.backward()
        total += loss.item()
    return total, [parameter.grad.numpy() for parameter in model.parameters()]


def alone(batch: list[WeightedText]) -> float:
    """The weighted mean by a pass an example."""
    model = tiny_llama(dtype=torch.float64)
    total = 0.0
    for example in batch:
        with torch.no_grad():
            logprobs = (
                model(input_ids=torch.tensor([example.tokens]), use_cache=False)
                .logits[0]
                .log_softmax(-1)
            )
        targets = zip(
            range(len(example.tokens) - 1), example.tokens[1:], example.weights[1:], strict=True
        )
        total -= sum(weight * logprobs[at, token].item() for at, token, weight in targets)
    return total / sum(sum(example.weights) for example in batch)


@pytest.mark.parametrize("row_tokens", [1, 12, 20, 64])
def test_packing_changes_nothing(row_tokens: int, packing: str) -> None:
    loss, gradient = loss_and_gradient(row_tokens, examples())
    assert loss == pytest.approx(alone(examples()), abs=1e-12)
    other_loss, other_gradient = loss_and_gradient(40, examples()[::-1])
    assert loss == pytest.approx(other_loss, abs=1e-12)
    for one, other in zip(gradient, other_gradient, strict=True):
        assert one == pytest.approx(other, abs=1e-12)


@pytest.mark.parametrize("micro_batch_tokens", [1, 24, 1000])
def test_micro_batches_change_nothing(micro_batch_tokens: int) -> None:
    loss, gradient = loss_and_gradient(12, examples())
    cut_loss, cut_gradient = loss_and_gradient(12, examples(), micro_batch_tokens)
    assert cut_loss == pytest.approx(loss, abs=1e-10)
    for one, other in zip(gradient, cut_gradient, strict=True):
        assert one == pytest.approx(other, abs=1e-10)


def test_a_micro_batch_is_no_larger_than_allowed() -> None:
    model, sizes = tiny_llama(), []
    model.register_forward_pre_hook(
        lambda _, __, inputs: sizes.append(inputs["input_ids"].numel()), with_kwargs=True
    )
    list(
        imitation.batch_losses(
            model, examples(), settings(row_tokens=12, micro_batch_tokens=24), "float32"
        )
    )
    assert sizes == [24, 24]


def test_no_example_is_asked_to_predict_the_first_token_of_the_next() -> None:
    """An example's first token, seen from the one packed before it, has no weight."""
    together, _ = loss_and_gradient(8, examples((4, 4)))
    apart, _ = loss_and_gradient(4, examples((4, 4)))
    assert together == pytest.approx(apart, abs=1e-12)


def test_the_loss_curve_by_hand() -> None:
    history = [{"loss": float(step), "grad_norm": 1.0} for step in range(200)]
    summary = imitation.summary(history)
    assert (summary["num_steps"], summary["final_loss"]) == (200, 198.5)
    assert summary["loss_curve"] == [0.5 + 2 * point for point in range(100)]
    assert imitation.summary(history[:2])["loss_curve"] == [0.0, 1.0]


def test_a_killed_training_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECKPOINT_SECONDS, "-1")
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
        imitation.train("sft", trainer, examples(), shape, "float32", 1, folder)
        return trainer

    whole = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", interrupt_after=3)
    resumed = trained(tmp_path / "killed")
    assert resumed.history == whole.history
    for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)

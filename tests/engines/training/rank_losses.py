"""One of several processes that compute losses and gradients together.

Run by `python -m tests.engines.training.rank_losses OUT`.

Alone, without `RANK` in its environment, it works out the same by itself.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from fixtures.checkouts import ROOT
from fixtures.decoders import tiny_llama
from stages.contracts.params.compute.training import Training
from stages.contracts.params.inits.sft import LossWeights, Sft
from stages.contracts.params.lora import Lora
from stages.contracts.params.optimizer import AdamW
from stages.contracts.params.recipes.update import Update
from stages.contracts.params.whole import load
from stages.engines.adapters import adapt
from stages.engines.training import imitation, ranks
from stages.engines.training.example import Example as Rollout
from stages.engines.training.imitation import WeightedText
from stages.engines.training.policy_loss import PolicyLoss
from stages.engines.training.trainer import Trainer, set_up

OPTIMIZER = AdamW(learning_rate=1e-2, betas=(0.9, 0.95), weight_decay=0.1, max_grad_norm=0.1)
SFT = Sft(
    epochs=1,
    batch_tokens=64,
    row_tokens=12,
    warmup_frac=0.0,
    final_learning_rate_frac=1.0,
    loss_weights=LossWeights(attempt=0.5, verdict=4.0, answer=2.0),
    optimizer=OPTIMIZER,
    micro_batch_tokens=12,
)
LENGTHS = (7, 3, 12, 5, 9, 4)
TERMS = {
    "objective": {"name": "outcome"},
    "micro_batch_tokens": 26,
    "kl_coefficient": 0.3,
    "entropy_coefficient": 0.2,
    "importance_correction": {"kind": "truncate", "cap": 1.3},
}


def trained_alike(name: str, out: Path) -> None:
    """Three steps on one batch: losses, norms, watched values of each, the weights after them."""
    model = tiny_llama(dtype=torch.float64)
    adapt(
        model,
        Lora(rank=2, alpha=4, target_modules=["q_proj", "down_proj"]) if name == "lora" else None,
        3,
        "",
    )
    if name == "lora":
        model.double()
    checkpointing = Training(
        precision="float32", gradient_checkpointing=name == "policy_anew", num_processes=2
    )
    set_up(model, checkpointing)
    trainer, records = Trainer(model, OPTIMIZER), []
    losses = policy_losses(trainer, name) if name.startswith("policy") else imitated(trainer)
    for watched, shares in losses:
        record = trainer.step(shares)
        records.append(
            [record["loss"], record["grad_norm"], *(watched[key] for key in sorted(watched))]
        )
        trainer.save(out / name)
    gradients = [ranks.full_tensor(p.grad).numpy() for p in model.parameters() if p.requires_grad]
    weights = [ranks.full_tensor(p.detach()).numpy() for p in model.parameters()]
    if ranks.is_first():
        np.savez(
            out / f"{name}.npz",
            records=np.array(records),
            **named("g", gradients),
            **named("w", weights),
        )


def imitated(trainer: Trainer) -> Iterator[tuple[dict[str, float], Iterator[torch.Tensor]]]:
    rng = np.random.default_rng(0)
    batch = [
        WeightedText(
            rng.integers(1, 23, n).tolist(),
            [0.0, *rng.choice([0.0, 0.5, 2.0, 4.0], n - 1).tolist()],
        )
        for n in LENGTHS
    ]
    for _ in range(3):
        yield {}, imitation.batch_losses(trainer.model, batch, SFT, "float32")


def policy_losses(
    trainer: Trainer, name: str
) -> Iterator[tuple[dict[str, float], Iterator[torch.Tensor]]]:
    rng, reference = np.random.default_rng(1), tiny_llama(seed=2, dtype=torch.float64)
    ranks.shard_model(reference)
    base = load(ROOT / "params.yaml").recipes["outcome"].update.model_dump()
    packed = {"row_tokens": 16} if name == "policy_packed" else {}
    loss = PolicyLoss(
        Update.model_validate({**base, **TERMS, **packed}), 0.8, 12, "float32", reference
    )
    rollouts = []
    for length in LENGTHS[: 1 if name == "policy_of_one" else None]:
        is_target = rng.random(length) < 0.8
        drawn = rng.normal(-3, 0.3, length), rng.normal(0, 1, length), is_target, is_target
        rollouts.append(Rollout(rng.integers(1, 23, 3), rng.integers(1, 23, length), *drawn))
    prepared = loss.prepare(trainer.model, rollouts)
    for _ in range(3):
        watched: dict[str, float] = {}
        yield watched, loss.minibatch(trainer.model, prepared, watched, lambda _: None)


def named(letter: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{letter}{index}": array for index, array in enumerate(arrays)}


if __name__ == "__main__":
    with ranks.processes("test", 1):
        for case in sys.argv[2:]:
            trained_alike(case, Path(sys.argv[1]))

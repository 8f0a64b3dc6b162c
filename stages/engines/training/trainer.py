"""The only owner of an optimizer: accumulate, clip, step, checkpoint."""

import math
import os
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from stages.contracts.params.compute.training import Training
from stages.contracts.params.optimizer import AdamW
from stages.engines.training import checkpoint_file
from stages.engines.training.ranks import (
    distributed_like,
    from_first,
    full_tensor,
    is_first,
    reshard,
    shard_model,
    sum_over_ranks,
)
from stages.running.errors import BadInput

CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_SECONDS = "KNOWHOW_CHECKPOINT_SECONDS"


def set_up(model: PreTrainedModel, training: Training) -> None:
    """Make a model ready to be trained as params.yaml says.

    Its weights stay in their own precision. That of the section is written in its configuration, so
    that vLLM will sample from what comes out in the same one. Layers that compute their activations
    anew must think they are in training; what is in them must not, for it may drop out. Among
    several ranks each then holds its part of the model.

    Raises:
        BadInput: its architecture cannot compute activations anew.
    """
    model.config.dtype = getattr(torch, training.precision)
    if training.gradient_checkpointing:
        _compute_anew(model)
    shard_model(model)


def _compute_anew(model: PreTrainedModel) -> None:
    if not model.supports_gradient_checkpointing:
        raise BadInput(
            f"compute.training.gradient_checkpointing: {type(model).__name__} cannot compute "
            "activations anew; set it to false, and lower micro_batch_tokens where memory is short"
        )
    model.gradient_checkpointing_enable({"use_reentrant": False})
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.training = True


class Trainer:
    """AdamW over the parameters that are left to training, with exact save and resume.

    A model may be shared among ranks: then all of them step, save and resume together. A checkpoint
    holds whole tensors, so that a run may go on in another number of processes.
    """

    def __init__(self, model: nn.Module, settings: AdamW) -> None:
        self.model = model
        self.settings = settings
        self.history: list[dict[str, float]] = []
        """What the caller recorded of each step taken, kept through a resume."""
        self.kept: dict[str, Tensor] = {}
        """What else of the caller's is kept through a resume, on the CPU, equal in all ranks."""
        self._saved = time.monotonic()
        self._named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(
            self._named.values(),
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
        )

    @property
    def num_steps(self) -> int:
        """Optimizer steps taken since the start, those before a resume included."""
        return len(self.history)

    def step(
        self, losses: Iterable[Float[Tensor, ""]], learning_rate_scale: float = 1.0
    ) -> dict[str, float]:
        """Back-propagate each micro-batch's share of the loss as it comes, clip, take one step.

        Returns:
            The step's record, in `history`: loss and the gradient's norm before clipping; the
            caller may add to it.

        Raises:
            FloatingPointError: the gradient is not finite; the parameters are left as they were.
        """
        self._optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for loss in losses:
            loss.backward()
            total += float(loss.detach())
        norm = float(
            full_tensor(
                torch.nn.utils.clip_grad_norm_(self._named.values(), self.settings.max_grad_norm)
            )
        )
        if not math.isfinite(norm):
            raise FloatingPointError(f"gradient norm is {norm} at step {self.num_steps}")
        for group in self._optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * learning_rate_scale
        self._optimizer.step()
        self.history.append({**sum_over_ranks({"loss": total}), "grad_norm": norm})
        return self.history[-1]

    def save(self, folder: Path) -> None:
        """Write parameters, optimizer moments and history, atomically."""
        tensors = {f"kept.{name}": value for name, value in self.kept.items()}
        for name, parameter in self._named.items():
            for kind, value in {"parameter": parameter, **self._optimizer.state[parameter]}.items():
                value_of_all = full_tensor(value.detach())
                if is_first():
                    tensors[f"{kind}.{name}"] = value_of_all.cpu()
        if is_first():
            checkpoint_file.write(folder / CHECKPOINT, tensors, self.history)

    def save_at_times(self, folder: Path) -> None:
        """Save where the last time is `KNOWHOW_CHECKPOINT_SECONDS` ago, 10 unless set."""
        period = float(os.environ.get(CHECKPOINT_SECONDS, "10"))
        if from_first(time.monotonic() - self._saved > period):
            self.save(folder)
            self._saved = time.monotonic()

    def resume(self, folder: Path) -> bool:
        """Continue from a checkpoint in `folder`; False where there is none that can be read."""
        if (found := checkpoint_file.read(folder / CHECKPOINT)) is None:
            return False
        tensors, self.history = found
        reshard(self.model)  # a pass without a gradient leaves what it gathered
        for name in self.kept:
            self.kept[name] = tensors[f"kept.{name}"]
        for name, parameter in self._named.items():
            parameter.detach().copy_(distributed_like(tensors[f"parameter.{name}"], parameter))
            self._optimizer.state[parameter] = {
                "step": tensors[f"step.{name}"],
                "exp_avg": distributed_like(tensors[f"exp_avg.{name}"], parameter),
                "exp_avg_sq": distributed_like(tensors[f"exp_avg_sq.{name}"], parameter),
            }
        return True

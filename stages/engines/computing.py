"""How a model's passes are computed: in which precision, and what is kept for the way back."""

from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from stages.contracts.params.compute import Training
from stages.engines.training import ranks
from stages.running.errors import BadInput

Precision = Literal["float32", "bfloat16"]


def set_up(model: PreTrainedModel, training: Training) -> None:
    """Make a model ready to be trained as params.yaml says; its weights stay in their own
    precision.

    The precision is written in its configuration, so that vLLM will sample from what comes out in
    the same one. Layers that compute their activations anew must think they are in training; what
    is in them must not, for it may drop out. Among several ranks each then holds its part of the
    model.

    Raises:
        BadInput: its architecture cannot compute activations anew.
    """
    model.config.dtype = getattr(torch, training.precision)
    if training.gradient_checkpointing:
        _compute_anew(model)
    ranks.shard_model(model)


def _compute_anew(model: PreTrainedModel) -> None:
    if not model.supports_gradient_checkpointing:
        raise BadInput(
            f"compute.training.gradient_checkpointing: {type(model).__name__} cannot compute activations anew; set it "
            "to false, and lower micro_batch_tokens where memory is short"
        )
    model.gradient_checkpointing_enable({"use_reentrant": False})
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.training = True


def passing(model: PreTrainedModel, precision: Precision) -> AbstractContextManager[object]:
    """The context of a forward pass: matrix products in `precision`, sums and weights as they are."""
    return torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16")


def summable(logits: Tensor) -> Tensor:
    """Logits that may be exponentiated and summed: never less than float32, float64 as it is."""
    return logits.float() if logits.dtype == torch.bfloat16 else logits

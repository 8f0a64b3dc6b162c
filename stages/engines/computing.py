"""How a model's passes are computed: in how many threads, in which precision."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

Precision = Literal["float32", "bfloat16"]


def use_threads() -> None:
    """Fix torch's thread count, which may change the last bit of a sum.

    It is `KNOWHOW_THREADS`, 2 unless set.
    """
    os.environ.setdefault(
        "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
    )  # without it a GPU's products are refused as random
    torch.set_num_threads(int(os.environ.get("KNOWHOW_THREADS", "2")))
    torch.use_deterministic_algorithms(True)
    # torch would fill what is about to be written, to show up who does not
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def settings_of_one_step() -> Iterator[None]:
    """What `use_threads` fixes inside ends with the block, as it would with a step's process."""
    num_threads = torch.get_num_threads()
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
        torch.use_deterministic_algorithms(is_deterministic)


def autocast(model: PreTrainedModel, precision: Precision) -> AbstractContextManager[object]:
    """The context of a forward pass: products in `precision`, sums and weights as they are."""
    return torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16")


def at_least_float32(
    logits: Float[Tensor, "*place vocabulary"],
) -> Float[Tensor, "*place vocabulary"]:
    """Logits that may be exponentiated and summed: never less than float32, float64 as it is."""
    return logits.float() if logits.dtype == torch.bfloat16 else logits

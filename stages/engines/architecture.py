"""What architectures do differently from Llama, made right for packed passes, or refused.

Sliding windows: a layer sees only the tokens less than a window away. A mask given from outside, as
packed passes do, would take the window's place, so each such mask gets it back; tokens are as far
apart as their positions are. Soft caps: of attention logits, which torch's fused attention does not
know; of the head's logits, behind the head.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from transformers import PreTrainedModel

from stages.engines.varlen import MASKED_ROW_TOKENS, VARLEN, packed_inputs
from stages.running.errors import BadInput

SLIDING, FULL = "sliding_attention", "full_attention"
TRIED_LENGTHS = ((7, 9), (9, MASKED_ROW_TOKENS))
TOLERANCE_NATS = 1e-3


def attention_of(model: PreTrainedModel) -> str:
    """The implementation of attention that computes what an architecture says.

    It is of variable length where it can be.
    """
    if getattr(model.config, "attn_logit_softcapping", None):
        return "eager"
    return VARLEN if model._supports_attention_backend else "sdpa"


def is_windowed(model: PreTrainedModel) -> bool:
    """Whether any layer sees only what is near."""
    config = model.config
    layers = getattr(config, "layer_types", None)
    return bool(getattr(config, "sliding_window", None)) and (layers is None or SLIDING in layers)


def keep_masks_whole(model: PreTrainedModel) -> None:
    """Make a boolean mask given to the model mean what its architecture makes of it.

    The mask is [row, 1, query, key].
    """
    if is_windowed(model) or model.config._attn_implementation == "eager":
        model.base_model.register_forward_pre_hook(_mend, with_kwargs=True)


def head_logits(
    model: PreTrainedModel, hidden: Float[Tensor, "*place hidden"]
) -> Float[Tensor, "*place vocabulary"]:
    """Logits of last hidden states."""
    logits: Tensor = model.get_output_embeddings()(hidden)
    cap = getattr(model.config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)


def need_known(model: PreTrainedModel, name: str) -> None:
    """Try a few tokens, packed and apart, through head and whole model.

    Raises:
        BadInput: they come out different, so this architecture does something that is not known
            here.
    """
    difference = max(_difference(model, lengths) for lengths in TRIED_LENGTHS)
    if not difference < TOLERANCE_NATS:
        raise BadInput(
            f"{name}: the architecture {type(model).__name__} gives other log-probabilities (by "
            f"{difference:.2g} nats) where texts are packed into one row, so its rounds could not "
            "be trained exactly; choose another checkpoint"
        )


def _difference(model: PreTrainedModel, lengths: Sequence[int]) -> float:
    """Largest difference between log-probabilities of texts packed into one row and apart, nats.

    The texts are of some tokens of the vocabulary.
    """
    texts = [
        torch.arange(length, device=model.device) % model.config.vocab_size for length in lengths
    ]
    with torch.no_grad():
        apart = torch.cat(
            [model(input_ids=text[None], use_cache=False).logits[0] for text in texts]
        )
        inputs = packed_inputs(model, [lengths], sum(lengths))
        hidden = model.base_model(
            input_ids=torch.cat(texts)[None], **inputs, use_cache=False
        ).last_hidden_state
        packed = head_logits(model, hidden)[0]
    return float((apart.log_softmax(-1) - packed.log_softmax(-1)).abs().max())


def _mend(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    mask = kwargs.get("attention_mask")
    if not isinstance(mask, Tensor) or mask.ndim != 4 or "segments" in kwargs:
        return args, kwargs
    config, positions = module.config, kwargs["position_ids"]
    window = getattr(config, "sliding_window", None)
    layers = getattr(config, "layer_types", None)
    near = mask & _near(positions, mask.shape[-1], window) if window else mask
    mended = {FULL: _additive(config, mask), SLIDING: _additive(config, near)}
    return args, {**kwargs, "attention_mask": mended if layers else mended[SLIDING]}


def _near(
    positions: Int[Tensor, "row query"], num_keys: int, window: int
) -> Bool[Tensor, "row 1 query key"]:
    """Which keys are less than `window` before each query.

    Keys not among the queries stand before them in order.
    """
    before = torch.arange(num_keys - positions.shape[1], device=positions.device).expand(
        len(positions), -1
    )
    keys = torch.cat([before, positions], dim=1)
    return (positions[:, None, :, None] - keys[:, None, None, :]) < window


def _additive(
    config: Any, mask: Bool[Tensor, "row 1 query key"]
) -> Shaped[Tensor, "row 1 query key"]:
    """Eager attention adds its mask to the logits; the others take it as it is."""
    if config._attn_implementation != "eager":
        return mask
    return torch.zeros(mask.shape, device=mask.device).masked_fill(
        ~mask, torch.finfo(torch.float32).min
    )

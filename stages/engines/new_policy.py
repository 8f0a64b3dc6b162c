"""A policy that knows nothing yet: a decoder of a given shape with random weights."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from stages.contracts.params.inits.model import ModelShape
from stages.contracts.render import Renderer
from stages.engines.device import device
from stages.engines.varlen import VARLEN

INIT_STD = 0.02
FOURIER_PERIODS = 20
FOURIER_SCALE = 0.05


def llama_config(shape: ModelShape, renderer: Renderer) -> LlamaConfig:
    """A Llama-architecture decoder of that shape, for that vocabulary."""
    return LlamaConfig(
        vocab_size=renderer.vocabulary_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_heads,
        max_position_embeddings=shape.max_positions,
        tie_word_embeddings=True,
        bos_token_id=renderer.encode("<bos>")[0],
        eos_token_id=renderer.eos_token,
        pad_token_id=renderer.pad_token,
        dtype="float32",
        attn_implementation=VARLEN,
    )


def new_policy(
    shape: ModelShape, renderer: Renderer, token_values: Mapping[str, float], seed: int
) -> PreTrainedModel:
    """A Llama-architecture decoder with random weights drawn from `seed`.

    Tokens that stand for numbers start with Fourier features of their value, so that near numbers
    start out near.
    """
    model = LlamaForCausalLM(llama_config(shape, renderer))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * INIT_STD)
            else:
                assert "norm" in name
        embedding = model.get_input_embeddings().weight
        for word, value in token_values.items():
            [token] = renderer.encode(word)
            embedding[token] += _fourier(value, shape.hidden_size)
    return model.to(device())


def _fourier(value: float, size: int) -> Float[Tensor, " feature"]:
    """Sin and cos of `value` over periods from 2 to 200, the rest of the vector zero."""
    periods = torch.logspace(0.3, 2.3, FOURIER_PERIODS, dtype=torch.float64)
    angles = 2 * torch.pi * value / periods
    features = torch.cat([angles.sin(), angles.cos()])[:size]
    return torch.nn.functional.pad(
        FOURIER_SCALE * features, (0, max(0, size - len(features)))
    ).float()

"""A real Llama decoder of a few thousand weights, for tests that need a model's forward and
backward pass.
"""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from stages.engines.varlen import VARLEN

WEIGHT_STD = 0.3


def tiny_llama(
    vocabulary_size: int = 23, seed: int = 0, dtype: torch.dtype = torch.float32
) -> LlamaForCausalLM:
    """Random weights drawn from `seed`, large enough that its distributions are far from uniform.

    In float64 its norms are torch's, since transformers' own round to float32.
    """
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        attn_implementation=VARLEN,
    )
    model = LlamaForCausalLM(config).to(dtype)
    if dtype == torch.float64:
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if type(child).__name__ == "LlamaRMSNorm":
                    setattr(module, name, torch.nn.RMSNorm(16, eps=1e-6, dtype=dtype))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            centre = 1.0 if parameter.dim() == 1 else 0.0
            parameter.copy_(centre + WEIGHT_STD * torch.randn(parameter.shape, generator=generator))
    return model

"""Token losses: arrays in, sums and counts out, so that any split into micro-batches adds up to the same value."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class PpoTerms(NamedTuple):
    """Sums over the masked tokens of one micro-batch; divide by the minibatch's token count."""

    loss: Float[Tensor, ""]
    clipped: Float[Tensor, ""]
    ratio: Float[Tensor, ""]
    kl_nats: Float[Tensor, ""]


def token_logprobs(
    logits: Float[Tensor, "*batch token vocabulary"], targets: Int[Tensor, "*batch token"], temperature: float = 1.0
) -> Float[Tensor, "*batch token"]:
    """Log softmax(logits / temperature) at `targets`, in nats: the distribution the sampler drew from."""
    scaled = logits if temperature == 1.0 else logits / temperature
    chosen = scaled.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return chosen - scaled.logsumexp(-1)


def entropy(logits: Float[Tensor, "*batch token vocabulary"]) -> Float[Tensor, "*batch token"]:
    """Entropy of softmax(logits), in nats."""
    logprobs = logits.log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1)


def weighted_nll(logprobs: Float[Tensor, "*batch token"], weights: Float[Tensor, "*batch token"]) -> Float[Tensor, ""]:
    """−∑ w log p: the SFT loss before division by the batch's ∑ w."""
    return -(logprobs * weights).sum()


def ppo_clip(
    trainer_logprobs: Float[Tensor, "*batch token"],
    sampler_logprobs: Float[Tensor, "*batch token"],
    advantages: Float[Tensor, "*batch token"],
    mask: Bool[Tensor, "*batch token"],
    clip_low: float,
    clip_high: float,
) -> PpoTerms:
    """−∑ min(ρ A, clip(ρ, 1 − clip_low, 1 + clip_high) A) over masked tokens, ρ = exp(trainer − sampler).

    PPO's clipped surrogate (Schulman et al. 2017, arXiv 1707.06347, eq. 7) with a bound of its own on either side
    (DAPO, arXiv 2503.14476, eq. 10) and an advantage per token. `kl_nats` is the k3 estimate ρ − 1 − log ρ of
    KL(sampler ‖ trainer) from sampler draws (Schulman 2020), to watch, not to train on.

    With trainer = sampler the gradient is the plain policy gradient and nothing is clipped.
    """
    log_ratio = torch.where(mask, trainer_logprobs - sampler_logprobs, torch.zeros_like(trainer_logprobs))
    ratio = log_ratio.exp()
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high)
    weight = mask.to(ratio.dtype)
    objective = torch.minimum(ratio * advantages, bounded * advantages)
    is_clipped = (bounded * advantages < ratio * advantages) & mask
    with torch.no_grad():
        kl = ratio - 1 - log_ratio
    return PpoTerms(
        loss=-(objective * weight).sum(),
        clipped=is_clipped.to(ratio.dtype).sum(),
        ratio=(ratio.detach() * weight).sum(),
        kl_nats=(kl * weight).sum(),
    )

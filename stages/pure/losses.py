"""Token losses: arrays in, sums out, so that any split into micro-batches adds up to the same.

A loss is −∑ w_t · objective_t / denominator over the target tokens of a minibatch: `surrogate`
gives each token's objective, `aggregation` the weights and the denominator, both known before the
first micro-batch.
"""

import math
from typing import Literal, NamedTuple, assert_never

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Objective = Literal["clipped", "sequence_clipped", "clipped_weight", "likelihood"]
Average = Literal["sequences", "tokens", "budget"]


class Surrogate(NamedTuple):
    """What is maximised at each token, the ratio behind it, and where it is clipped.

    `ratio`, a constant to the gradient, is trainer over behaviour policy, of the token or of its
    sequence; 0 outside the mask, as the objective is.
    """

    objective: Float[Tensor, "*batch token"]
    ratio: Float[Tensor, "*batch token"]
    is_clipped: Bool[Tensor, "*batch token"]


class Aggregation(NamedTuple):
    """Weight of a sequence's target tokens, and what divides the minibatch's weighted sum."""

    weights: Float[np.ndarray, " sequence"]
    denominator: int


class Importance(NamedTuple):
    """Weight of each token after the cap, and raw figures from before it.

    `ess_frac` is the effective sample size (∑ w)² / ∑ w² (Kong 1992) over the number of tokens: 1
    when all weights are equal, 1/n when one token has all the weight.
    """

    weights: Float[np.ndarray, " token"]
    mean: float
    ess_frac: float
    clipped_frac: float


def token_logprobs(
    logits: Float[Tensor, "*batch token vocabulary"],
    targets: Int[Tensor, "*batch token"],
    temperature: float = 1.0,
) -> Float[Tensor, "*batch token"]:
    """Log softmax(logits / temperature) at `targets`, in nats: of what the sampler drew from."""
    scaled = logits if temperature == 1.0 else logits / temperature
    chosen = scaled.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return chosen - scaled.logsumexp(-1)


def entropy(logits: Float[Tensor, "*batch token vocabulary"]) -> Float[Tensor, "*batch token"]:
    """Entropy of softmax(logits), in nats."""
    logprobs = logits.log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1)


def weighted_nll(
    logprobs: Float[Tensor, "*batch token"], weights: Float[Tensor, "*batch token"]
) -> Float[Tensor, ""]:
    """−∑ w log p: the SFT loss before division by the batch's ∑ w."""
    return -(logprobs * weights).sum()


def masked_difference(
    left: Float[Tensor, "*batch token"],
    right: Float[Tensor, "*batch token"],
    mask: Bool[Tensor, "*batch token"],
) -> Float[Tensor, "*batch token"]:
    """`left` − `right` where `mask`, else 0 in value and gradient, where −inf or NaN stands too."""
    zero = torch.zeros_like(left)
    return torch.where(mask, left, zero) - torch.where(mask, right, zero)


def k3(log_ratio: Float[Tensor, "*batch token"]) -> Float[Tensor, "*batch token"]:
    """exp(d) − 1 − d of d = log p − log q at draws from q: KL(q ‖ p) in nats, never negative.

    Unbiased. The third of Schulman's estimators ("Approximating KL divergence", 2020);
    KL(sampler ‖ trainer) is watched with d = trainer − sampler. d = 0 gives 0; d = −inf (p gives
    the token nothing) gives inf.
    """
    return log_ratio.exp() - 1 - log_ratio


def reference_kl(
    trainer_logprobs: Float[Tensor, "*batch token"],
    behaviour_logprobs: Float[Tensor, "*batch token"],
    reference_logprobs: Float[Tensor, "*batch token"],
    mask: Bool[Tensor, "*batch token"],
) -> Float[Tensor, "*batch token"]:
    """ρ · k3(reference − trainer), ρ trainer over behaviour: KL(trainer ‖ reference), nats.

    At draws from behaviour. GRPO (arXiv 2402.03300, eq. 4) has the k3 alone: its value is right for
    draws from the trainer, but its gradient there is that of KL(reference ‖ trainer), since the
    draws' own dependence is left out. With the ratio, which the gradient goes through, value and
    gradient are unbiased, after the first step too (DeepSeek-V3.2, arXiv 2512.02556; TRL's
    `use_bias_correction_kl`, its default; verl has the k3 alone). ρ is the token's own for every
    loss.

    0 outside `mask`, in value and gradient.
    """
    ratio = masked_difference(trainer_logprobs, behaviour_logprobs, mask).exp()
    return ratio * k3(masked_difference(reference_logprobs, trainer_logprobs, mask))


def clipped(
    log_ratio: Float[Tensor, "*batch token"],
    advantages: Float[Tensor, "*batch token"],
    clip_low: float,
    clip_high: float,
) -> Surrogate:
    """min(ρ A, clip(ρ, 1 − clip_low, 1 + clip_high) A), ρ = exp(log_ratio).

    PPO's clipped surrogate (Schulman et al. 2017, arXiv 1707.06347, eq. 7) with a bound of its own
    on either side (DAPO, arXiv 2503.14476, eq. 10; equal bounds are GRPO's) and an advantage per
    token. With ρ = 1 everywhere the gradient is the plain policy gradient and nothing is clipped.

    A ratio too large for the number's precision is held at e^88 (float32) where A ≥ 0: the minimum
    does not take it there, and infinity times 0 would be NaN in value or gradient. Where A < 0 the
    minimum is it, and stays infinite.
    """
    is_held = log_ratio.exp().isinf() & (advantages >= 0)
    longest = math.floor(math.log(torch.finfo(log_ratio.dtype).max))
    ratio = torch.where(is_held, torch.full_like(log_ratio, longest), log_ratio).exp()
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high)
    objective = torch.minimum(ratio * advantages, bounded * advantages)
    return Surrogate(objective, ratio.detach(), bounded * advantages < ratio * advantages)


def sequence_mean(
    values: Float[Tensor, "*batch token"],
    mask: Bool[Tensor, "*batch token"],
    sequence: Int[Tensor, "*batch token"],
) -> Float[Tensor, "*batch token"]:
    """At every token the mean of `values` over the masked tokens of its sequence, 0 without any."""
    size = int(sequence.max()) + 1 if sequence.numel() else 0
    owner = sequence[mask]
    sums = values.new_zeros(size).index_add(0, owner, values[mask])
    counts = values.new_zeros(size).index_add(0, owner, torch.ones_like(values[mask]))
    return (sums / counts.clamp(min=1))[sequence]


def sequence_clipped(
    log_ratio: Float[Tensor, "*batch token"],
    advantages: Float[Tensor, "*batch token"],
    mask: Bool[Tensor, "*batch token"],
    sequence: Int[Tensor, "*batch token"],
    clip_low: float,
    clip_high: float,
) -> Surrogate:
    """min(s A, clip(s) A), one ratio for a sequence: s = exp(mean of its log ratios).

    GSPO (arXiv 2507.18071), in its per-token form (section "GSPO-token"): s_t = sg[s] · π_t /
    sg[π_t], sg stopping the gradient. Where a sequence's advantages are all equal, value and
    gradient are those of plain GSPO, s A. Where they differ, plain GSPO would differentiate s alone
    and give each token the sequence's mean advantage, undoing credit by segment; here each token's
    gradient is s A_t ∇log π_t. The mean, not the sum, of the log ratios is what makes one pair of
    bounds (3e-4 and 4e-4 in the paper) fit sequences of any length.
    """
    shared = sequence_mean(log_ratio.detach(), mask, sequence)
    return clipped(shared + (log_ratio - log_ratio.detach()), advantages, clip_low, clip_high)


def clipped_weight(
    trainer_logprobs: Float[Tensor, "*batch token"],
    log_ratio: Float[Tensor, "*batch token"],
    advantages: Float[Tensor, "*batch token"],
    clip_low: float,
    clip_high: float,
) -> Surrogate:
    """sg[clip(ρ, 1 − clip_low, 1 + clip_high)] A log π: no gradient dropped, its weight bounded.

    CISPO (MiniMax-M1, arXiv 2506.13585, eq. 4 and 5). The paper sets no lower bound: clip_low 1.
    TRL's `epsilon_high` is the bound itself, 1 + clip_high here. Its value is no objective to
    compare between steps: only the gradient is meant. `is_clipped` is wherever the weight was
    bounded.
    """
    ratio = log_ratio.detach().exp()
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high)
    return Surrogate(bounded * advantages * trainer_logprobs, ratio, bounded != ratio)


def likelihood(
    trainer_logprobs: Float[Tensor, "*batch token"],
    log_ratio: Float[Tensor, "*batch token"],
    advantages: Float[Tensor, "*batch token"],
) -> Surrogate:
    """A log π: maximum likelihood weighted by the advantages; no ratio, nothing clipped."""
    nowhere = torch.zeros_like(log_ratio, dtype=torch.bool)
    return Surrogate(advantages * trainer_logprobs, log_ratio.detach().exp(), nowhere)


def surrogate(
    objective: Objective,
    trainer_logprobs: Float[Tensor, "*batch token"],
    behaviour_logprobs: Float[Tensor, "*batch token"],
    advantages: Float[Tensor, "*batch token"],
    mask: Bool[Tensor, "*batch token"],
    sequence: Int[Tensor, "*batch token"],
    clip_low: float,
    clip_high: float,
) -> Surrogate:
    """Each token's objective by its name; 0 outside `mask`, in value and gradient.

    `sequence` is the index of the sequence a token belongs to (any index outside the mask); its
    tokens may lie in a padded row or between others in a packed one.
    """
    nothing = torch.zeros_like(trainer_logprobs)
    log_ratio = masked_difference(trainer_logprobs, behaviour_logprobs, mask)
    advantages = torch.where(mask, advantages, nothing)
    match objective:
        case "clipped":
            terms = clipped(log_ratio, advantages, clip_low, clip_high)
        case "sequence_clipped":
            terms = sequence_clipped(log_ratio, advantages, mask, sequence, clip_low, clip_high)
        case "clipped_weight":
            terms = clipped_weight(
                torch.where(mask, trainer_logprobs, nothing),
                log_ratio,
                advantages,
                clip_low,
                clip_high,
            )
        case "likelihood":
            terms = likelihood(torch.where(mask, trainer_logprobs, nothing), log_ratio, advantages)
        case _:
            assert_never(objective)
    return terms._replace(ratio=torch.where(mask, terms.ratio, nothing))


def aggregation(
    over: Average, num_targets: Int[np.ndarray, " sequence"], budget_tokens: int
) -> Aggregation:
    """How token objectives become one number, from the sequences' counts of target tokens.

    `sequences`: mean over each sequence's tokens, then over sequences (GRPO, arXiv 2402.03300, eq.
    3). `tokens`: mean over all tokens (DAPO, arXiv 2503.14476, eq. 8). `budget`: sum over sequences
    × `budget_tokens`, a constant, so that no length is favoured (Dr. GRPO, arXiv 2503.20783,
    section 3.2). verl takes the batch's longest padded length for that constant unless told; TRL,
    as here, the budget.

    A sequence without a target token adds nothing and counts in the number of sequences, as in TRL.
    Without any token the sum is 0 and the denominator at least 1.
    """
    ones = np.ones(len(num_targets))
    match over:
        case "sequences":
            return Aggregation(ones / np.maximum(num_targets, 1), max(1, len(num_targets)))
        case "tokens":
            return Aggregation(ones, max(1, int(num_targets.sum())))
        case "budget":
            return Aggregation(ones, max(1, len(num_targets) * budget_tokens))
        case _:
            assert_never(over)


def importance(
    log_ratio: Float[np.ndarray, " token"], kind: Literal["truncate", "mask"], cap: float
) -> Importance:
    """Weights w = exp(log_ratio) of trainer over sampler before the first step, bounded.

    And how they were before. `truncate`: min(w, cap), the truncated importance sampling of Yao et
    al. 2025 ("Your efficient RL framework secretly brings you off-policy RL training"). `mask`: w
    where 1/cap ≤ w ≤ cap, else 0 (IcePop, Ling team 2025). TRL's `token_mask` has no lower bound
    unless given one. A dropped token still counts in the loss's denominator.

    `mean` is 1 in expectation when the sampler drew what its log-probabilities say: another value
    beyond noise tells of a mismatch, such as a sampler that drew from the top p. No token gives
    mean and ess_frac 1, clipped_frac 0.
    """
    raw = np.exp(log_ratio)
    if not len(raw):
        return Importance(raw, 1.0, 1.0, 0.0)
    is_outside = raw > cap if kind == "truncate" else (raw > cap) | (raw < 1 / cap)
    bounded = np.minimum(raw, cap) if kind == "truncate" else np.where(is_outside, 0.0, raw)
    scaled = np.exp(log_ratio - log_ratio.max())
    ess_frac = float(scaled.sum() ** 2 / (scaled**2).sum() / len(raw))
    return Importance(bounded, float(raw.mean()), ess_frac, float(is_outside.mean()))

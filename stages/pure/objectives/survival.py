"""How likely a budget is to outlast so many thinking tokens, under a stated prior over budgets.

S(t) = P(budget ≥ t). A stream cut at a budget of b tokens succeeds with J(b) = J_j for the last
boundary j that b reaches, t_j ≤ b, and with J_k for ever after its last one. Each jump Δ_j counts
for the budgets from t_j on, so the success expected under the prior is

    ∑_b P(b) J(b) = J_0 + ∑_j S(t_j) Δ_j,

whatever the prior (AnytimeReasoner, arXiv 2505.13438, whose reward is the left side). Times are
tokens that the policy sampled.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

Tokens = Int[np.ndarray, " segment"]
Survival = Float[np.ndarray, " segment"]


def uniform_survival(tokens: Tokens, budget_tokens: int) -> Survival:
    """(B − t + 1) / (B + 1): each of the B + 1 budgets 0 … B is as likely; 0 where t > B."""
    return np.clip((budget_tokens - tokens + 1) / (budget_tokens + 1), 0.0, 1.0)


def geometric_survival(tokens: Tokens, token_discount: float) -> Survival:
    """γ^t: budget b has the chance (1 − γ) γ^b, mean γ / (1 − γ) tokens.

    The expected success is then the discounted area under the J curve, (1 − γ) ∑_b γ^b J(b), and
    1 less it the regret to an oracle that succeeds at once (MRT's cumulative regret, arXiv
    2503.07572, sums over whole episodes instead, up to a fixed number). With γ = 1 all budgets are
    long, with γ = 0 nothing that took a token counts.
    """
    return token_discount ** tokens.astype(np.float64)


def stated_survival(tokens: Tokens, weights: Mapping[int, float]) -> Survival:
    """∑_{b ≥ t} w_b / ∑ w_b of the budgets named, in tokens.

    A budget beyond the rollout's own counts as one that sees the whole stream.
    """
    budgets = np.array([*weights], dtype=np.int64)
    shares = np.array([*weights.values()], dtype=np.float64)
    outlasts = budgets[None, :] >= tokens[:, None]
    return np.where(outlasts, shares, 0.0).sum(axis=1) / shares.sum()


def survival(tokens: Tokens, budget_tokens: int, prior: Mapping[str, Any]) -> Survival:
    """S at each t, of the prior by its `kind` and its own numbers."""
    match prior:
        case {"kind": "uniform"}:
            return uniform_survival(tokens, budget_tokens)
        case {"kind": "geometric", "token_discount": token_discount}:
            return geometric_survival(tokens, token_discount)
        case {"kind": "stated", "weights": weights}:
            return stated_survival(tokens, weights)
    raise AssertionError(f"no prior {prior}")

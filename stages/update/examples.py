"""What is trained on, and what becomes of every token."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stages.contracts.origin import Origin
from stages.contracts.params.recipes.update import Update
from stages.engines.training.example import Example
from stages.pure import credit
from stages.pure.accounting import Status, statuses
from stages.pure.objectives.tokens import TokenAdvantages
from stages.update.round_tables import Columns, groups_of


def assemble(
    sampled: Columns, rewards: np.ndarray, parts: TokenAdvantages, settings: Update
) -> tuple[list[Example], list[dict[str, Any]]]:
    """The rollouts to train on, and the ledger of all of them."""
    advantages = [
        outcome + earned for outcome, earned in zip(parts.outcome, parts.credit, strict=True)
    ]
    is_filtered = credit.is_one_outcome(rewards, groups_of(sampled)) & (
        settings.filter_groups == "one_outcome"
    )
    is_zero = np.array([not values.any() for values in advantages])
    found = statuses(
        np.isnan(rewards),
        (np.array(sampled["finish_reason"]) == "length") & settings.mask_truncated,
        is_filtered,
        is_zero & (settings.kl_coefficient is None) & (settings.entropy_coefficient is None),
    )
    examples, rows = [], []
    for row, (status, is_target) in enumerate(zip(found, parts.is_target, strict=True)):
        num_sampled = int(is_target.sum())
        is_trained = status is Status.TRAINED
        if is_trained:
            examples.append(
                Example(
                    prompt_tokens=np.array(sampled["prompt_tokens"][row]),
                    completion_tokens=np.array(sampled["completion_tokens"][row]),
                    sampler_logprobs=np.array(sampled["sampler_logprobs"][row]),
                    advantages=advantages[row],
                    is_target=is_target,
                    is_anchored=parts.is_anchored[row],
                )
            )
        rows.append(
            {
                "rollout_id": sampled["rollout_id"][row],
                "problem_id": sampled["problem_id"][row],
                "status": status,
                "num_trained_tokens": num_sampled if is_trained else 0,
                "num_cue_tokens": sampled["token_origin"][row].count(Origin.CUE),
                "num_environment_tokens": sampled["token_origin"][row].count(Origin.ENVIRONMENT),
                "num_untrained_tokens": 0 if is_trained else num_sampled,
                "mean_advantage": float(advantages[row][is_target].mean()) if is_trained else 0.0,
            }
        )
    return examples, rows


def count_statuses(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Rollouts by status."""
    return {str(status): sum(row["status"] == status for row in rows) for status in Status}

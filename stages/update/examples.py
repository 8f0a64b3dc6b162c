"""What is trained on, and what becomes of every token."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

from stages.contracts.origin import Origin
from stages.contracts.params.recipes.update import Update
from stages.engines.training.example import Example
from stages.pure import credit
from stages.pure.accounting import Status, statuses
from stages.pure.objectives.tokens import TokenAdvantages
from stages.update.round_tables import RoundTables


def assemble(
    tables: RoundTables, advantages: TokenAdvantages, settings: Update
) -> tuple[list[Example], list[dict[str, Any]]]:
    """The rollouts to train on, and the ledger of all of them."""
    summed = [outcome + earned for outcome, earned in zip(*advantages[:2], strict=True)]
    examples, rows = [], []
    origins = tables.rollouts["token_origin"].to_pylist()
    identities = tables.rollouts.select(["rollout_id", "problem_id"]).to_pylist()
    for row, status in enumerate(statuses_of(tables, summed, settings)):
        is_target = advantages.is_target[row]
        num_sampled, is_trained = int(is_target.sum()), status is Status.TRAINED
        if is_trained:
            example = _example(tables.rollouts, row, summed[row], advantages)
            examples.append(example)
        rows.append(
            {
                **identities[row],
                "status": status,
                "num_trained_tokens": num_sampled if is_trained else 0,
                "num_cue_tokens": origins[row].count(Origin.CUE),
                "num_environment_tokens": origins[row].count(Origin.ENVIRONMENT),
                "num_untrained_tokens": 0 if is_trained else num_sampled,
                "mean_advantage": float(summed[row][is_target].mean()) if is_trained else 0.0,
            }
        )
    return examples, rows


def statuses_of(
    tables: RoundTables, summed: Sequence[Float[np.ndarray, " _"]], settings: Update
) -> list[Status]:
    """What becomes of each rollout, of whose tokens `summed` are the advantages."""
    is_unended = pc.equal(tables.rollouts["finish_reason"], "length").to_numpy()
    is_filtered = credit.is_one_outcome(tables.rewards, tables.groups) & (
        settings.filter_groups == "one_outcome"
    )
    is_zero = np.array([not values.any() for values in summed], dtype=bool)
    return statuses(
        np.isnan(tables.rewards),
        is_unended & settings.mask_truncated,
        is_filtered,
        is_zero & (settings.kl_coefficient is None) & (settings.entropy_coefficient is None),
    )


def count_statuses(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Rollouts by status."""
    return {str(status): sum(row["status"] == status for row in rows) for status in Status}


def _example(
    rollouts: pa.Table,
    row: int,
    advantages: Float[np.ndarray, " token"],
    of_tokens: TokenAdvantages,
) -> Example:
    return Example(
        prompt_tokens=np.array(rollouts["prompt_tokens"][row].as_py()),
        completion_tokens=np.array(rollouts["completion_tokens"][row].as_py()),
        sampler_logprobs=np.array(rollouts["sampler_logprobs"][row].as_py()),
        advantages=advantages,
        is_target=of_tokens.is_target[row],
        is_anchored=of_tokens.is_anchored[row],
    )

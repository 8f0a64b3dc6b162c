"""Which advantage each token gets: the formula of each objective, and nothing else knows them."""

from collections.abc import Callable, Mapping

import numpy as np

from stages.contracts.params.recipes.objective import (
    Correction,
    CorrectionStart,
    Information,
    Objective,
    ObjectiveTraits,
    Offline,
    Outcome,
    Process,
    Regret,
)
from stages.contracts.params.recipes.update import Update
from stages.pure.credit import group_normalized, length_penalized
from stages.pure.objectives.arrays import Advantage, RoundArrays
from stages.pure.objectives.correction import correction, correction_start, within_first_attempt
from stages.pure.objectives.imitation import imitation
from stages.pure.objectives.information import information
from stages.pure.objectives.outcome import outcome
from stages.pure.objectives.process import process
from stages.pure.objectives.regret import regret
from stages.pure.objectives.tokens import TokenAdvantages, on_tokens
from stages.update.round_tables import RoundTables, thinking_tokens

FORMULAS: Mapping[type[ObjectiveTraits], Callable[..., Advantage]] = {
    Outcome: outcome,
    Process: process,
    Information: information,
    Regret: regret,
    CorrectionStart: correction_start,
    Correction: correction,
    Offline: imitation,
}
"""Called with the round's arrays and, by name, the objective's keys (`formula_keys`)."""


def formula_keys(objective: Objective) -> dict[str, float | bool | str]:
    """The keys that are numbers of the formula: all but its name and the column of gains."""
    return objective.model_dump(exclude={"name", "gain"})


def round_arrays(tables: RoundTables, settings: Update, budget_tokens: int) -> RoundArrays:
    """What the formulas start from: the outcome's advantage, and all that is known of segments."""
    thinking = thinking_tokens(tables)
    rewards, penalty = tables.rewards, settings.length_penalty
    if penalty:
        rewards = length_penalized(rewards, thinking, budget_tokens, penalty)
    return RoundArrays(
        outcome=group_normalized(
            rewards, tables.groups, settings.normalize_by_std, settings.std_epsilon
        ),
        rewards=tables.rewards,
        groups=tables.groups,
        thinking_tokens=thinking,
        segments=tables.segments,
        std_epsilon=settings.std_epsilon,
    )


def segment_advantages(arrays: RoundArrays, objective: Objective) -> Advantage:
    """Each segment's advantage by the recipe's objective."""
    return FORMULAS[type(objective)](arrays, **formula_keys(objective))


def token_advantages(tables: RoundTables, settings: Update, budget_tokens: int) -> TokenAdvantages:
    """What the objective gives to segments, laid on their tokens."""
    segments = tables.segments
    arrays = round_arrays(tables, settings, budget_tokens)
    is_anchored = np.ones(len(segments.rollout), dtype=bool)
    if settings.objective.holds_first_attempt:
        is_anchored = within_first_attempt(segments.is_attempt, segments.rollout)
    return on_tokens(
        segment_advantages(arrays, settings.objective),
        is_anchored,
        segments,
        tables.is_sampled,
    )

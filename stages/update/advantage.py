"""Which advantage each token gets: the formula of each objective, and nothing else knows them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from stages.contracts.params.recipes.objective import (
    Anytime,
    Correction,
    CorrectionStart,
    Information,
    Myopic,
    MyopicProcess,
    Objective,
    ObjectiveTraits,
    Offline,
    Outcome,
    Process,
)
from stages.contracts.params.recipes.update import Update
from stages.pure.credit import group_normalized, length_penalized
from stages.pure.objectives.anytime import anytime
from stages.pure.objectives.arrays import Advantage, RoundArrays
from stages.pure.objectives.correction import correction, correction_start, within_first_attempt
from stages.pure.objectives.imitation import imitation
from stages.pure.objectives.information import information
from stages.pure.objectives.myopic import myopic
from stages.pure.objectives.outcome import outcome
from stages.pure.objectives.process import myopic_process, process
from stages.pure.objectives.repeats import less_repeats
from stages.pure.objectives.tokens import TokenAdvantages, on_tokens, stops_apart
from stages.pure.seeds import derive_seed
from stages.update.round_tables import RoundTables, thinking_tokens

FORMULAS: Mapping[type[ObjectiveTraits], Callable[..., Advantage]] = {
    Outcome: outcome,
    Process: process,
    MyopicProcess: myopic_process,
    Information: information,
    Anytime: anytime,
    Myopic: myopic,
    CorrectionStart: correction_start,
    Correction: correction,
    Offline: imitation,
}
"""Called with the round's arrays and, by name, the objective's keys (`formula_keys`)."""


def formula_keys(objective: Objective) -> dict[str, Any]:
    """The keys that are numbers of the formula: all but its name and the column of gains."""
    return objective.model_dump(exclude={"name", "gain"})


def round_arrays(
    tables: RoundTables, settings: Update, budget_tokens: int, round_seed: int
) -> RoundArrays:
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
        segments=stops_apart(tables.segments, tables.is_sampled),
        normalize_by_std=settings.normalize_by_std,
        std_epsilon=settings.std_epsilon,
        budget_tokens=budget_tokens,
        control=settings.control,
        seed=derive_seed("control", round_seed),
    )


def segment_advantages(arrays: RoundArrays, settings: Update) -> Advantage:
    """Each segment's advantage by the recipe's objective, less the price of repeating."""
    objective = settings.objective
    advantage = FORMULAS[type(objective)](arrays, **formula_keys(objective))
    if settings.repeat_penalty is None:
        return advantage
    return less_repeats(advantage, arrays.segments.is_repeat, settings.repeat_penalty)


def token_advantages(
    tables: RoundTables, settings: Update, budget_tokens: int, round_seed: int
) -> TokenAdvantages:
    """What the objective gives to segments, laid on their tokens."""
    arrays = round_arrays(tables, settings, budget_tokens, round_seed)
    segments = arrays.segments
    is_anchored = np.ones(len(segments.rollout), dtype=bool)
    if settings.objective.holds_first_attempt:
        is_anchored = within_first_attempt(segments.is_attempt, segments.rollout)
    return on_tokens(segment_advantages(arrays, settings), is_anchored, segments, tables.is_sampled)

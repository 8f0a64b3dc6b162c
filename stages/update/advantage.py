"""Which advantage each token gets: the formula of each objective."""

from functools import partial

import numpy as np

from stages.contracts.params.recipes.update import Update
from stages.pure import credit
from stages.pure.objectives.arrays import Advantage, Segments
from stages.pure.objectives.correction import correction, correction_start, within_first_attempt
from stages.pure.objectives.imitation import imitated, imitation, progress_per_token
from stages.pure.objectives.information import information
from stages.pure.objectives.outcome import outcome_only
from stages.pure.objectives.process import process
from stages.pure.objectives.regret import regret
from stages.pure.objectives.tokens import TokenAdvantages, on_tokens
from stages.update.round_tables import Columns, groups_of, is_sampled, thinking_tokens


def segment_advantages(
    sampled: Columns, rewards: np.ndarray, segments: Segments, settings: Update, budget_tokens: int
) -> Advantage:
    """Each segment's advantage by the recipe's objective."""
    groups, thinking = groups_of(sampled), thinking_tokens(sampled)
    scale = partial(
        credit.group_scaled,
        baseline=settings.credit_baseline,
        normalize_by_std=settings.normalize_credit_by_std,
        std_epsilon=settings.std_epsilon,
    )
    penalty = settings.length_penalty
    paid = (
        credit.length_penalized(rewards, thinking, budget_tokens, penalty) if penalty else rewards
    )
    outcome = credit.group_normalized(paid, groups, settings.normalize_by_std, settings.std_epsilon)
    discount = _given(
        {"myopic": 0.0, "to_go": 1.0, "discounted": settings.credit_discount}[settings.credit]
    )
    match settings.objective:
        case "outcome":
            return outcome_only(outcome, segments, settings.alpha)
        case "information":
            return information(outcome, segments, settings.alpha, discount, scale)
        case "regret":
            per_token = _given(settings.credit_discount)
            return regret(outcome, segments, settings.alpha, per_token, discount, scale)
        case "process":
            return process(outcome, segments, settings.alpha, discount, scale)
        case "self_correction":
            if settings.correction_stage == 1:
                return correction_start(outcome, segments)
            return correction(outcome, rewards, groups, segments, settings.alpha, scale)
        case "offline":
            progress = progress_per_token(segments, thinking)
            is_kept = imitated(rewards, groups, progress, _given(settings.keep_frac))
            return imitation(is_kept, rewards, segments)


def token_advantages(
    sampled: Columns, rewards: np.ndarray, segments: Segments, settings: Update, budget_tokens: int
) -> TokenAdvantages:
    """What the objective gives to segments, laid on their tokens."""
    parts = segment_advantages(sampled, rewards, segments, settings, budget_tokens)
    is_anchored = np.ones(len(segments.rollout), dtype=bool)
    if settings.correction_stage == 1:
        is_anchored = within_first_attempt(segments.is_attempt, segments.rollout)
    return on_tokens(parts, is_anchored, segments, is_sampled(sampled))


def _given(number: float | None) -> float:
    """A number that params.yaml cannot leave out where it is asked for."""
    assert number is not None
    return number

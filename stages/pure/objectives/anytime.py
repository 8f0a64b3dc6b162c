"""Objective `anytime`: success expected under a prior over budgets."""

from collections.abc import Mapping
from typing import Any

from stages.pure.credit import Baseline, Scale
from stages.pure.objectives.arrays import Advantage, RoundArrays
from stages.pure.objectives.information import information
from stages.pure.objectives.survival import survival


def anytime(
    arrays: RoundArrays,
    alpha: float,
    prior: Mapping[str, Any],
    credit_baseline: Baseline,
    credit_scale: Scale,
) -> Advantage:
    """`information` to go of S(t_j) Δ_j, S(t) = P(budget ≥ t), t_j the tokens up to j's end.

    With alpha 0, no baseline and no scale the thinking follows the gradient of the success expected
    under `prior` (`stages.pure.objectives.survival`): a token can still change the gains of its own
    segment and of later ones. Time counts from the start of the stream, so late segments matter
    little even to their own tokens; that is the objective. All the prior on the last budget is
    `information`.
    Uniform and stated priors are AnytimeReasoner's (arXiv 2505.13438), which also trains the
    answers forced at the other budgets, by a policy of its own; here the one answer of the stream
    is trained, and answers at other boundaries only measured.
    """
    segments = arrays.segments
    outlasts = survival(segments.used_tokens, arrays.budget_tokens, prior)
    weighed = segments._replace(gain=outlasts * segments.gain)
    return information(arrays._replace(segments=weighed), alpha, 1.0, credit_baseline, credit_scale)

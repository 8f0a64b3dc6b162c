"""What params.yaml says of demonstrations: `inits.<init>.demonstrations`."""

from typing import Annotated, Literal

from pydantic import Field

from stages.contracts.params.base import Count, Fraction, NotNegative, Positive, Section


class Strategy(Section):
    """What all strategies have in common.

    Without `difficulty_weights` every problem is equally likely.
    """

    num_demos: Count
    difficulty_weights: dict[int, Positive] | None = None


class DirectDemonstrations(Strategy):
    """The reference answer at once: the baseline that learns *what*."""

    strategy: Literal["direct"]


class WorkedDemonstrations(Strategy):
    """The worked solution that a problem came with as thinking, then its answer."""

    strategy: Literal["worked"]


class SearchShape(Strategy):
    """What the strategies that attempt before they answer have in common.

    See `stages.tasks.strategies`.
    """

    immediate_answer_frac: Fraction
    """Demonstrations without any attempt, so that success at the first boundary measures knowledge.
    """
    planned_hit_frac: Fraction
    """Demonstrations whose last attempt hits, after up to `max_planned_attempts` that miss."""
    max_planned_attempts: Count
    max_attempts: Count
    give_up_fracs: Annotated[list[Fraction], Field(min_length=1)]
    """Chances of one to stop after an attempt that missed; each demonstration draws one of them."""
    wrong_answer_frac: Fraction
    """Of the demonstrations whose attempts all missed: share that answers with the nearest of them,
    which is wrong.
    """


class ReviseDemonstrations(SearchShape):
    """Attempts, a verdict on each, until one hits or it gives up."""

    strategy: Literal["revise"]
    candidates_per_attempt: Annotated[list[Count], Field(min_length=1)]


class ParallelDemonstrations(SearchShape):
    """Attempts in a row without a verdict, then the best of them.

    No attempt is known to hit, so the row ends by `give_up_fracs` alone, and a planned hit stands
    anywhere in it.
    """

    strategy: Literal["parallel"]
    candidates_per_attempt: Annotated[list[Count], Field(min_length=1)]


class SearchDemonstrations(SearchShape):
    """Backtracking, nearest-looking continuations first; no attempt twice.

    The continuations of one first step are tried, those first that look nearest to the target, at
    most `max_siblings`, before another first step is taken.
    """

    strategy: Literal["search"]
    max_siblings: Count
    max_blur: NotNegative
    """Of a distance as the search sees it: uniform from 0 to this is added."""


Demonstrations = Annotated[
    DirectDemonstrations
    | WorkedDemonstrations
    | ReviseDemonstrations
    | ParallelDemonstrations
    | SearchDemonstrations,
    Field(discriminator="strategy"),
]

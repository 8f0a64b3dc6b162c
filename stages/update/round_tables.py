"""The tables of a round as arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from stages.contracts.origin import Origin
from stages.contracts.verdict import Verdict
from stages.pure.objectives.arrays import Segments
from stages.pure.objectives.tokens import IsToken
from stages.running.errors import BadInput

Columns = dict[str, list[Any]]


def floats(values: Sequence[float | None]) -> np.ndarray:
    """A column as float64, NaN for null."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def groups_of(sampled: Columns) -> np.ndarray:
    """Each rollout's group, by number: the rollouts of one problem."""
    return np.unique(sampled["problem_id"], return_inverse=True)[1]


def is_sampled(sampled: Columns) -> list[IsToken]:
    """Of each rollout, which completion tokens the policy wrote."""
    return [np.array(origin, dtype=np.int8) == Origin.SAMPLED for origin in sampled["token_origin"]]


def thinking_tokens(sampled: Columns) -> Int[np.ndarray, " rollout"]:
    """How many thinking tokens of each rollout were sampled."""
    thinking = zip(is_sampled(sampled), sampled["num_thinking_tokens"], strict=True)
    return np.array([is_own[:length].sum() for is_own, length in thinking], dtype=int)


def known_segments(sampled: Columns, cut: Columns, gained: Columns, gain: str) -> Segments:
    """The segments as arrays, each with its gain and the grades that its verdicts give."""
    row_of = {rollout_id: row for row, rollout_id in enumerate(sampled["rollout_id"])}
    rollout = np.array([row_of[rollout_id] for rollout_id in cut["rollout_id"]], dtype=int)
    gains = dict(
        zip(
            zip(gained["rollout_id"], gained["segment_index"], strict=True),
            gained[gain],
            strict=True,
        )
    )
    grades = floats(
        [None if verdict is None else Verdict(verdict).reward for verdict in cut["attempt_verdict"]]
    )
    claims = floats(cut["self_verdict"])
    used = [np.append(0, is_own.cumsum()) for is_own in is_sampled(sampled)]
    return Segments(
        rollout=rollout,
        group=groups_of(sampled)[rollout],
        start_tokens=np.array(cut["start_token"], dtype=int),
        end_tokens=np.array(cut["end_token"], dtype=int),
        gain=floats(
            [gains.get(key) for key in zip(cut["rollout_id"], cut["segment_index"], strict=True)]
        ),
        is_attempt=np.array(
            [verdict is not None for verdict in cut["attempt_verdict"]], dtype=bool
        ),
        attempt_grade=grades,
        verdict_grade=np.where(np.isnan(claims) | np.isnan(grades), np.nan, claims == grades),
        used_tokens=np.array(
            [used[row][end] for row, end in zip(rollout, cut["end_token"], strict=True)], dtype=int
        ),
    )


def need_attempts(segments: Segments, recipe_name: str, objective: str) -> None:
    """Refuse an objective that grades attempts where nothing is known of any.

    Raises:
        BadInput: no segment has an attempt verdict.
    """
    if objective in ("process", "self_correction") and not segments.is_attempt.any():
        raise BadInput(
            f"recipe {recipe_name}: objective {objective} grades attempts, and none of {len(segments.rollout)} "
            "segment(s) has an attempt verdict; cut segments by marker on a task that marks its attempts, or choose "
            "another objective"
        )

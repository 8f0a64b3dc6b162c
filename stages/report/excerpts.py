"""A few rollouts to read: which ones, and each as segments with what they gained."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from stages.contracts.render import Renderer

Row = Mapping[str, Any]


class Piece(NamedTuple):
    """One segment: its text and, for a thinking segment, what it gained.

    None where nothing was measured.
    """

    text: str
    kind: str
    progress: float | None
    success_after: float | None
    attempt_verdict: str | None
    self_verdict: bool | None


class Excerpt(NamedTuple):
    """One rollout to read.

    `success_before` is what a forced answer was worth before any thinking.
    """

    rollout_id: str
    prompt: str
    difficulty: int
    reference: str
    verdict: str
    reward: float | None
    finish_reason: str
    success_before: float | None
    pieces: list[Piece]


def choose(gains: pd.DataFrame, problem_of: Mapping[str, str], num_rollouts: int) -> list[str]:
    """The rollouts whose segments differ most in progress, no two of one problem.

    Ties go by rollout_id.
    """
    progress = gains.groupby("rollout_id")["progress"]
    spread = (progress.max() - progress.min()).dropna().reset_index()
    spread["problem_id"] = spread["rollout_id"].map(problem_of)
    ordered = spread.sort_values(["progress", "rollout_id"], ascending=[False, True])
    chosen: list[str] = (
        ordered.drop_duplicates("problem_id").head(num_rollouts)["rollout_id"].tolist()
    )
    return chosen


def excerpts(
    rollout_ids: Sequence[str],
    rollouts: pd.DataFrame,
    scores: pd.DataFrame,
    segments: pd.DataFrame,
    gains: pd.DataFrame,
    problems: Mapping[str, Row],
    renderer: Renderer,
) -> Iterator[Excerpt]:
    """The chosen rollouts, in their order."""
    sampled, scored = rollouts.set_index("rollout_id"), scores.set_index("rollout_id")
    cut, gained = (
        segments.set_index(["rollout_id"]),
        gains.set_index(["rollout_id", "segment_index"]),
    )
    for rollout_id in rollout_ids:
        row, score = sampled.loc[rollout_id], scored.loc[rollout_id]
        problem = problems[row["problem_id"]]
        yield Excerpt(
            rollout_id,
            prompt=problem["prompt"],
            difficulty=problem["difficulty"],
            reference=problem["answer"],
            verdict=score["verdict"],
            reward=_number(score["reward"]),
            finish_reason=row["finish_reason"],
            success_before=_number(gained.loc[(rollout_id, 0), "success_before"]),
            pieces=list(
                _pieces(
                    row["completion_tokens"],
                    cut.loc[[rollout_id]],
                    gained.loc[rollout_id],
                    renderer,
                )
            ),
        )


def _pieces(
    tokens: Int[np.ndarray, " token"], cut: pd.DataFrame, gained: pd.DataFrame, renderer: Renderer
) -> Iterator[Piece]:
    for segment in cut.to_dict("records"):
        index = segment["segment_index"]
        gain = (
            gained.loc[index]
            if index in gained.index
            else {"progress": None, "success_after": None}
        )
        yield Piece(
            text=renderer.decode(tokens[segment["start_token"] : segment["end_token"]].tolist()),
            kind=segment["kind"],
            progress=_number(gain["progress"]),
            success_after=_number(gain["success_after"]),
            attempt_verdict=_known(segment["attempt_verdict"]),
            self_verdict=_known(segment["self_verdict"]),
        )


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _known(value: Any) -> Any:
    return None if pd.isna(value) else value

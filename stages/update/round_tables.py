"""The tables of a round as its update needs them: rows of rollouts, and arrays in their order."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from stages.contracts.origin import Origin
from stages.contracts.params.recipes.objective import Objective
from stages.contracts.params.recipes.update import Update
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.verdict import Verdict
from stages.pure.objectives.arrays import Segments
from stages.pure.objectives.repeats import is_repeat
from stages.pure.objectives.tokens import IsToken
from stages.pure.rewards import success_reward
from stages.running.errors import BadInput

ROLLOUT_COLUMNS = (
    *("rollout_id", "problem_id", "prompt_tokens", "completion_tokens", "sampler_logprobs"),
    *("num_thinking_tokens", "token_origin", "finish_reason"),
)
SEGMENT_COLUMNS = (
    *("rollout_id", "segment_index", "start_token", "end_token"),
    *("attempt_verdict", "self_verdict"),
)
SUCCESS_COLUMNS = ("success_before", "success_after")


class RoundTables(NamedTuple):
    """A round, rollouts in the order of their table; NaN where nothing is known."""

    rollouts: pa.Table
    rewards: Float[np.ndarray, " rollout"]
    """What the recipe learns from: the verified reward, or the success in its place."""
    groups: Int[np.ndarray, " rollout"]
    """Rollouts of one problem have one number."""
    is_sampled: list[IsToken]
    """Of each rollout, the completion tokens that the policy wrote."""
    segments: Segments
    self_verdicts: Float[np.ndarray, " segment"]
    """1 where the policy calls the attempt inside correct, 0 where not."""


def read_round(
    rollouts: Path, scores: Path, segments: Path, gains: Path, settings: Update
) -> RoundTables:
    """Read what an update needs of a round; of gains the columns that its recipe reads.

    Raises:
        BadInput: a table is missing or breaks its contract.
    """
    gain_column = settings.objective.gain_column
    of_gains = [
        *([gain_column] if gain_column else []),
        *(SUCCESS_COLUMNS if settings.reward == "success" else []),
    ]
    return round_tables(
        read_table(rollouts, ROLLOUTS, ROLLOUT_COLUMNS),
        read_table(scores, SCORES, ["rollout_id", "reward"]),
        read_table(segments, SEGMENTS, SEGMENT_COLUMNS),
        read_table(gains, GAINS, ["rollout_id", "segment_index", *of_gains]),
        settings,
    )


def round_tables(
    rollouts: pa.Table, scores: pa.Table, segments: pa.Table, gains: pa.Table, settings: Update
) -> RoundTables:
    """The tables as arrays."""
    groups = np.unique(rollouts["problem_id"].to_numpy(), return_inverse=True)[1]
    is_sampled = sampled_tokens(rollouts)
    gain, gain_column = np.full(segments.num_rows, np.nan), settings.objective.gain_column
    if gain_column is not None:
        gain = _gain_of(segments, gains, gain_column, rollouts)
    claims = floats(segments["self_verdict"])
    known = _segments_of(rollouts, segments, groups, is_sampled, gain, claims)
    rewards = floats(scores["reward"])
    if settings.reward == "success":
        success = [
            _gain_of(segments, gains, column, rollouts)[known.is_thinking]
            for column in SUCCESS_COLUMNS
        ]
        rewards = success_reward(rewards, groups, known.rollout[known.is_thinking], *success)
    return RoundTables(rollouts, rewards, groups, is_sampled, known, claims)


def _segments_of(
    rollouts: pa.Table,
    segments: pa.Table,
    groups: Int[np.ndarray, " rollout"],
    is_sampled: list[IsToken],
    gain: Float[np.ndarray, " segment"],
    claims: Float[np.ndarray, " segment"],
) -> Segments:
    rows = _rows_in(rollouts, segments)
    starts, ends = (segments[name].to_numpy().astype(int) for name in ("start_token", "end_token"))
    grades = attempt_grades(segments["attempt_verdict"])
    is_thinking = starts < rollouts["num_thinking_tokens"].to_numpy()[rows]
    tokens = rollouts["completion_tokens"].to_pylist()
    used = [np.append(0, is_own.cumsum()) for is_own in is_sampled]
    spans = [*zip(rows, starts, ends, strict=True)]
    return Segments(
        rollout=rows,
        group=groups[rows],
        start_tokens=starts,
        end_tokens=ends,
        gain=gain,
        is_thinking=is_thinking,
        is_stop=np.zeros(len(rows), dtype=bool),
        is_attempt=pc.is_valid(segments["attempt_verdict"]).to_numpy(),
        is_repeat=is_thinking
        & is_repeat([tuple(tokens[row][start:end]) for row, start, end in spans], rows),
        attempt_grade=grades,
        verdict_grade=np.where(np.isnan(claims) | np.isnan(grades), np.nan, claims == grades),
        used_tokens=np.array([used[row][end] for row, _, end in spans], dtype=int),
    )


def sampled_tokens(rollouts: pa.Table) -> list[IsToken]:
    """Of each rollout, which completion tokens the policy wrote."""
    origins = rollouts["token_origin"]
    ends = pc.list_value_length(origins).to_numpy().cumsum()
    return np.split(pc.list_flatten(origins).to_numpy() == Origin.SAMPLED, ends[:-1])


def thinking_tokens(tables: RoundTables) -> Int[np.ndarray, " rollout"]:
    """How many thinking tokens of each rollout were sampled."""
    thinking = zip(
        tables.is_sampled, tables.rollouts["num_thinking_tokens"].to_numpy(), strict=True
    )
    return np.array([is_own[:length].sum() for is_own, length in thinking], dtype=int)


def floats(values: pa.ChunkedArray) -> Float[np.ndarray, " row"]:
    """A column as float64, NaN for null."""
    return values.cast(pa.float64()).to_numpy()


def attempt_grades(verdicts: pa.ChunkedArray) -> Float[np.ndarray, " segment"]:
    """The reward of each verdict; NaN where there is none, or the verifier failed."""
    rewards = [verdict.reward for verdict in Verdict]
    which = pc.index_in(verdicts, value_set=pa.array([verdict.value for verdict in Verdict]))
    return floats(pa.chunked_array([pa.array(rewards, pa.float64())]).take(which))


def need_attempts(segments: Segments, recipe_name: str, objective: Objective) -> None:
    """Refuse an objective that grades attempts where nothing is known of any.

    Raises:
        BadInput: no segment has an attempt verdict.
    """
    if objective.grades_attempts and not segments.is_attempt.any():
        raise BadInput(
            f"recipe {recipe_name}: objective {objective.name} grades attempts, and none of "
            f"{len(segments.rollout)} segment(s) has an attempt verdict; cut segments by marker on "
            "a task that marks its attempts, or choose another objective"
        )


def _rows_in(rollouts: pa.Table, rows: pa.Table) -> Int[np.ndarray, " row"]:
    """The row of `rollouts` that each row is of."""
    found = pc.index_in(rows["rollout_id"], value_set=rollouts["rollout_id"])
    assert not found.null_count, "validated: every row is of a rollout of this round"
    return found.to_numpy().astype(int)


def _gain_of(
    segments: pa.Table, gains: pa.Table, column: str, rollouts: pa.Table
) -> Float[np.ndarray, " segment"]:
    """What each segment gained; NaN where that is not known."""
    tables = (segments, gains)
    width = 1 + max(pc.max(table["segment_index"]).as_py() or 0 for table in tables)
    keys = [
        pa.array(_rows_in(rollouts, table) * width + table["segment_index"].to_numpy())
        for table in tables
    ]
    return floats(gains[column].take(pc.index_in(keys[0], value_set=keys[1])))

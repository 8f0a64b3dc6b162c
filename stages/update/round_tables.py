"""The tables of a round as its update needs them: rows of rollouts, and arrays in their order."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from stages.contracts.origin import Origin
from stages.contracts.params.recipes.objective import Objective
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.verdict import Verdict
from stages.pure.objectives.arrays import Segments
from stages.pure.objectives.tokens import IsToken
from stages.running.errors import BadInput

ROLLOUT_COLUMNS = (
    *("rollout_id", "problem_id", "prompt_tokens", "completion_tokens", "sampler_logprobs"),
    *("num_thinking_tokens", "token_origin", "finish_reason"),
)
SEGMENT_COLUMNS = (
    *("rollout_id", "segment_index", "start_token", "end_token"),
    *("attempt_verdict", "self_verdict"),
)


class RoundTables(NamedTuple):
    """A round, rollouts in the order of their table; NaN where nothing is known."""

    rollouts: pa.Table
    rewards: Float[np.ndarray, " rollout"]
    groups: Int[np.ndarray, " rollout"]
    """Rollouts of one problem have one number."""
    is_sampled: list[IsToken]
    """Of each rollout, the completion tokens that the policy wrote."""
    segments: Segments
    self_verdicts: Float[np.ndarray, " segment"]
    """1 where the policy calls the attempt inside correct, 0 where not."""


def read_round(
    rollouts: Path, scores: Path, segments: Path, gains: Path, gain_column: str | None
) -> RoundTables:
    """Read what an update needs of a round; of gains the column that its objective reads.

    Raises:
        BadInput: a table is missing or breaks its contract.
    """
    gain_columns = ["rollout_id", "segment_index", *([gain_column] if gain_column else [])]
    return round_tables(
        read_table(rollouts, ROLLOUTS, ROLLOUT_COLUMNS),
        read_table(scores, SCORES, ["rollout_id", "reward"]),
        read_table(segments, SEGMENTS, SEGMENT_COLUMNS),
        read_table(gains, GAINS, gain_columns),
        gain_column,
    )


def round_tables(
    rollouts: pa.Table,
    scores: pa.Table,
    segments: pa.Table,
    gains: pa.Table,
    gain_column: str | None,
) -> RoundTables:
    """The tables as arrays."""
    groups = np.unique(rollouts["problem_id"].to_numpy(), return_inverse=True)[1]
    rows = _rows_in(rollouts, segments)
    claims = floats(segments["self_verdict"])
    grades = attempt_grades(segments["attempt_verdict"])
    is_sampled = sampled_tokens(rollouts)
    used = [np.append(0, is_own.cumsum()) for is_own in is_sampled]
    ends = segments["end_token"].to_numpy().astype(int)
    gain = np.full(len(rows), np.nan)
    if gain_column is not None:
        gain = _gain_of(segments, gains, gain_column, rollouts)
    known = Segments(
        rollout=rows,
        group=groups[rows],
        start_tokens=segments["start_token"].to_numpy().astype(int),
        end_tokens=ends,
        gain=gain,
        is_attempt=pc.is_valid(segments["attempt_verdict"]).to_numpy(),
        attempt_grade=grades,
        verdict_grade=np.where(np.isnan(claims) | np.isnan(grades), np.nan, claims == grades),
        used_tokens=np.array([used[row][end] for row, end in zip(rows, ends, strict=True)], int),
    )
    return RoundTables(rollouts, floats(scores["reward"]), groups, is_sampled, known, claims)


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

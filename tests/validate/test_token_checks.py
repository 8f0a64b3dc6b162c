"""What the gate says of tokens by their origin, with cues of several tokens, and with turns.

One-token cues are in test_main.py.
"""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.segments import SEGMENTS
from stages.validate.token_checks import add_cues, add_sampled, add_tokens, answer_texts
from tests.contracts.test_render import COUNTDOWN

EOS = COUNTDOWN.eos_token
CUE = [50, 51, 52]
Rollout = tuple[list[int], list[int], int, str]
SOUND: dict[str, Rollout] = {  # tokens, origins, thinking tokens, finish reason
    "own": ([7, *CUE, 9, EOS], [0, 0, 1, 1, 0, 0], 1, "stop"),
    "forced": ([7, 8, *CUE, 9, EOS], [0, 0, 1, 1, 1, 0, 0], 2, "forced"),
    "own, never ended": ([7, *CUE, 9, 9], [0, 0, 1, 1, 0, 0], 1, "length"),
    "forced, never ended": ([7, 8, *CUE, 9, 9], [0, 0, 1, 1, 1, 0, 0], 2, "length"),
    "unanswered": ([7, 8, EOS], [0, 0, 0], 3, "stop"),
    "two turns": ([7, 60, 61, 8, *CUE, 9, EOS], [0, 2, 2, 0, 1, 1, 1, 0, 0], 4, "forced"),
    "a turn that ends its text": ([7, EOS, 60, *CUE, 9, EOS], [0, 0, 2, 0, 1, 1, 0, 0], 3, "stop"),
    "a reply that ends a text": ([7, EOS, 8, *CUE, 9, EOS], [0, 2, 0, 0, 1, 1, 0, 0], 3, "stop"),
    "a cue on the way": ([7, *CUE, 8, *CUE, 9, EOS], [0, 1, 1, 1, 0, 0, 1, 1, 0, 0], 5, "stop"),
    "own cue on the way": ([*CUE, 8, *CUE, 9, EOS], [0, 1, 1, 0, 1, 1, 1, 0, 0], 4, "forced"),
}
BROKEN: dict[str, tuple[Rollout, set[str]]] = {
    "own cue given in part": (
        ([7, *CUE, 9, EOS], [0, 0, 1, 0, 0, 0], 1, "stop"),
        {"num_foreign_cue_tokens", "num_missing_cue_tokens"},
    ),
    "own cue that was forced": (
        ([7, *CUE, 9, EOS], [0, 1, 1, 1, 0, 0], 1, "stop"),
        {"is_cue_as_told"},
    ),
    "forced cue of the policy's own": (
        ([7, *CUE, 9, EOS], [0, 0, 1, 1, 0, 0], 1, "forced"),
        {"is_cue_as_told"},
    ),
    "own cue that nobody ended": (
        ([7, *CUE, 9, EOS], [0, 0, 0, 0, 0, 0], 1, "stop"),
        {"num_missing_cue_tokens"},
    ),
    "forced where nobody answers": (
        ([7, 8, EOS], [0, 1, 1], 3, "stop"),
        {"num_foreign_cue_tokens", "is_end_as_told"},
    ),
    "forced without an answer": (([7, 8, EOS], [0, 0, 0], 3, "forced"), {"is_cue_as_told"}),
    "forced beside its place": (
        ([7, *CUE, 9, EOS], [0, 0, 0, 1, 1, 0], 1, "stop"),
        {"num_foreign_cue_tokens", "num_missing_cue_tokens"},
    ),
    "other tokens of the cue": (
        ([7, 50, 52, 51, 9, EOS], [0, 0, 1, 1, 0, 0], 1, "stop"),
        {"num_foreign_cue_tokens", "num_missing_cue_tokens"},
    ),
    "rest of a cue that nobody began": (
        ([7, 51, 52, 8, *CUE, 9, EOS], [0, 1, 1, 0, 0, 1, 1, 0, 0], 4, "stop"),
        {"num_foreign_cue_tokens"},
    ),
    "rest of a cue that a reply began": (
        ([*CUE, 8, *CUE, 9, EOS], [2, 1, 1, 0, 0, 1, 1, 0, 0], 4, "stop"),
        {"num_foreign_cue_tokens"},
    ),
    "a reply to the answer": (
        ([7, *CUE, 9, 60, EOS], [0, 0, 1, 1, 0, 2, 0], 1, "stop"),
        {"num_late_environment_tokens"},
    ),
    "thinking behind the end of text": (
        ([7, EOS, 8, *CUE, 9, EOS], [0, 0, 0, 0, 1, 1, 0, 0], 3, "stop"),
        {"num_early_eos"},
    ),
    "an origin too few": (
        ([7, *CUE, 9, EOS], [0, 0, 1, 1, 0], 1, "length"),
        {"num_missing_origins", "num_unknown_origins"},
    ),
    "an origin too many": (
        ([7, *CUE, 9, EOS], [0, 0, 1, 1, 0, 0, 0], 1, "stop"),
        {"num_missing_origins"},
    ),
    "an unknown origin": (
        ([7, *CUE, 9, EOS], [3, 0, 1, 1, 0, 0], 1, "stop"),
        {"num_unknown_origins"},
    ),
}
COUNTS = (
    "num_missing_origins",
    "num_unknown_origins",
    "num_logprobs_not_sampled",
    "num_late_environment_tokens",
    "num_foreign_cue_tokens",
    "num_missing_cue_tokens",
    "num_early_eos",
)
TRUTHS = ("is_cue_as_told", "is_end_as_told")


def rows_of(rollouts: list[Rollout]) -> pa.Table:
    """The columns about tokens; what was not sampled has log-probability 0."""
    columns: dict[str, list[Any]] = {
        "rollout_id": [f"r{row}" for row in range(len(rollouts))],
        "completion_tokens": [tokens for tokens, _, _, _ in rollouts],
        "sampler_logprobs": [
            [-1.0 if code == 0 else 0.0 for code in [*origins, *[1] * len(tokens)][: len(tokens)]]
            for tokens, origins, _, _ in rollouts
        ],
        "token_origin": [origins for _, origins, _, _ in rollouts],
        "num_thinking_tokens": [thinking for _, _, thinking, _ in rollouts],
        "finish_reason": [finish for _, _, _, finish in rollouts],
    }
    return pa.table(
        {
            name: pa.array(values, ROLLOUTS.schema.field(name).type)
            for name, values in columns.items()
        }
    )


def checked(rollouts: list[Rollout]) -> pd.DataFrame:
    table = rows_of(rollouts)
    frame = table.select(["num_thinking_tokens", "finish_reason"]).to_pandas()
    add_tokens(frame, table, COUNTDOWN)
    add_cues(frame, table, CUE)
    return frame


def complaints(row: pd.Series) -> set[str]:
    return {name for name in COUNTS if row[name]} | {name for name in TRUTHS if not row[name]}


@pytest.mark.parametrize("case", SOUND)
def test_what_samplers_and_environments_leave_passes(case: str) -> None:
    assert complaints(checked([SOUND[case]]).iloc[0]) == set()


@pytest.mark.parametrize("case", BROKEN)
def test_what_they_never_leave_is_seen(case: str) -> None:
    rollout, expected = BROKEN[case]
    assert complaints(checked([rollout]).iloc[0]) == expected


def test_a_row_is_judged_alike_alone_and_among_others() -> None:
    rollouts = [*SOUND.values(), *(rollout for rollout, _ in BROKEN.values())]
    expected = [set()] * len(SOUND) + [columns for _, columns in BROKEN.values()]
    assert [complaints(row) for _, row in checked(rollouts).iterrows()] == expected


def test_tokens_are_counted_by_origin() -> None:
    frame = checked([SOUND["two turns"], SOUND["own"]])
    assert frame["num_sampled_thinking_tokens"].tolist() == [2, 1]
    assert frame["num_answer_tokens"].tolist() == [5, 5]


def test_the_answer_is_what_the_policy_wrote_behind_the_last_cue() -> None:
    texts = answer_texts(
        rows_of([SOUND["two turns"], SOUND["unanswered"], SOUND["a cue on the way"]]), COUNTDOWN
    )
    nine = COUNTDOWN.decode([9])
    assert texts.to_dict() == {"r0": nine, "r1": "", "r2": nine}


def test_segments_are_measured_in_sampled_tokens() -> None:
    """Thinking of two turns cut behind the reply, as it may be, and before it, as it may not."""
    segments = [("r0", 0, 3), ("r0", 3, 4), ("r1", 0, 1), ("r1", 1, 4), ("unknown", 5, 6)]
    names = ("rollout_id", "start_token", "end_token")
    frame = pd.DataFrame(segments, columns=names)
    add_sampled(frame, rows_of([SOUND["two turns"]] * 2))
    assert frame["num_sampled_tokens"].tolist() == [1, 1, 1, 1, 0]
    assert frame["is_start_sampled"].tolist() == [True, True, True, False, True]
    assert {*names} <= {*SEGMENTS.schema.names}

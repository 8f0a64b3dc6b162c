"""What the gate says of forced spans where the cue has several tokens; one-token cues are in
tests/test_validate.py.
"""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from stages.contracts.params.recipes.probe import AnswerLikelihood
from stages.contracts.tables.problems import PROBLEMS
from stages.validate.checks import Premises, _add_tokens
from tests.contracts.test_render import COUNTDOWN

EOS = COUNTDOWN.eos_token
CUE = [50, 51, 52]
PROBE = AnswerLikelihood(estimator="answer_likelihood", micro_batch_tokens=1)
PREMISES = Premises(
    round_id="i1",
    problems=PROBLEMS.schema.empty_table(),
    group_sizes={},
    renderer=COUNTDOWN,
    cue_tokens=CUE,
    rewards={},
    partial_credit=False,
    decision=None,
    probe=PROBE,
)
SOUND = {
    "own": ([7, *CUE, 9, EOS], 1, 2, 4, "stop"),
    "forced": ([7, 8, *CUE, 9, EOS], 2, 2, 5, "forced"),
    "own, never ended": ([7, *CUE, 9, 9], 1, 2, 4, "length"),
    "forced, never ended": ([7, 8, *CUE, 9, 9], 2, 2, 5, "length"),
    "unanswered": ([7, 8, EOS], 3, 3, 3, "stop"),
}
BROKEN = {
    "own cue forced in part": (([7, *CUE, 9, EOS], 1, 2, 3, "stop"), "forced_excess_tokens"),
    "own cue forced as a whole": (([7, *CUE, 9, EOS], 1, 1, 4, "stop"), "forced_excess_tokens"),
    "a cut cue of the policy's own": (
        ([7, *CUE, 9, EOS], 1, 2, 4, "forced"),
        "forced_excess_tokens",
    ),
    "forced where nobody answers": (([7, 8, EOS], 3, 1, 3, "stop"), "forced_excess_tokens"),
    "forced beside its place": (([7, *CUE, 9, EOS], 1, 3, 5, "stop"), "forced_gap_tokens"),
    "other tokens forced": (
        ([7, 50, 52, 51, 9, EOS], 1, 2, 4, "stop"),
        "num_foreign_forced_tokens",
    ),
}


def checked(tokens: list[int], thinking: int, start: int, end: int, finish: str) -> dict[str, Any]:
    """The columns about forced spans of one rollout."""
    frame = pd.DataFrame(
        {
            "num_thinking_tokens": [thinking],
            "forced_start": [start],
            "forced_end": [end],
            "finish_reason": [finish],
        }
    )
    logprobs = [0.0 if start <= place < end else -1.0 for place in range(len(tokens))]
    _add_tokens(
        frame, pa.table({"completion_tokens": [tokens], "sampler_logprobs": [logprobs]}), PREMISES
    )
    found: dict[str, Any] = frame.fillna(0).iloc[0].to_dict()
    return {
        name: found[name]
        for name in ("forced_excess_tokens", "forced_gap_tokens", "num_foreign_forced_tokens")
    }


@pytest.mark.parametrize("case", SOUND)
def test_what_the_sampler_leaves_passes(case: str) -> None:
    assert not any(checked(*SOUND[case]).values())


@pytest.mark.parametrize("case", BROKEN)
def test_what_it_never_leaves_is_seen(case: str) -> None:
    row, column = BROKEN[case]
    assert checked(*row)[column] != 0

"""Rows of advantages by hand: two problems, five rollouts (`tests.update.by_hand`)."""

import numpy as np

from stages.pure.accounting import Status
from stages.update.advantage_rows import advantage_table
from stages.update.examples import assemble
from tests.update.by_hand import known, on_tokens, update


def test_a_run_of_tokens_has_the_advantage_and_the_clipping_of_its_own() -> None:
    tables, given = known(), on_tokens("information")
    _, ledger = assemble(tables, given, update("information"))
    trained = [row for row, entry in enumerate(ledger) if entry["status"] == Status.TRAINED]
    is_clipped = [np.zeros(len(given.is_target[row]), dtype=bool) for row in trained]
    is_clipped[0][:3] = True
    is_clipped[1][3] = True  # the cue that was put there
    rows = advantage_table(tables, given, ledger, is_clipped).to_pylist()
    of_first = [row for row in rows if row["rollout_id"] == "a0"]
    spans = [(row["segment_index"], row["start_token"], row["end_token"]) for row in of_first]
    assert spans == [(0, 0, 2), (1, 2, 4), (2, 4, 5), (2, 5, 6)]
    assert [row["is_stop"] for row in of_first] == [False, False, True, False]
    assert [row["credit_advantage"] for row in of_first] == [0.75, 0.5, 0.0, 0.0]
    assert [row["num_trained_tokens"] for row in of_first] == [2, 2, 1, 1]
    assert [row["clipped_frac"] for row in of_first] == [1.0, 0.5, 0.0, 0.0]
    [thought, answer] = [row for row in rows if row["rollout_id"] == "a1"]
    assert (thought["num_trained_tokens"], answer["num_trained_tokens"]) == (3, 1)
    assert answer["clipped_frac"] == 0.0
    [failed] = [row for row in rows if row["rollout_id"] == "a2"]
    assert failed["outcome_advantage"] is None
    assert failed["advantage"] is None
    assert (failed["num_trained_tokens"], failed["clipped_frac"]) == (0, None)
    for row in rows:
        if row["advantage"] is not None:
            assert row["advantage"] == row["outcome_advantage"] + row["credit_advantage"]

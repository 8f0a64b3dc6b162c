"""Rates, ratios and the claim of the comparison with bare vLLM (the loops run in `gpu_check`)."""

from benchmarks.measuring import Spent, Turn
from benchmarks.rollout_speed import answer_end, as_json, rates, table, unanswered
from stages.engines.sampler import Request
from stages.engines.turns import Answering

TURNS = {
    "ours": [Turn(90, Spent(1.0, 2.0)), Turn(90, Spent(2.0, 2.0))],
    "bare": [Turn(100, Spent(1.0, 2.0)), Turn(100, Spent(2.0, 2.0))],
    "plain": [Turn(150, Spent(1.0, 2.0)), Turn(150, Spent(2.0, 2.0))],
}
CUE = Answering(cue_tokens=[4, 5], answer_tokens=3)


class Done:
    """A completion as vLLM gives it."""

    def __init__(self, tokens: list[int], finish_reason: str) -> None:
        self.token_ids, self.finish_reason = tokens, finish_reason


def test_rates_are_turn_by_turn() -> None:
    assert rates(TURNS["ours"]) == [90.0, 45.0]
    assert as_json(TURNS["ours"])[0] == {"num_tokens": 90, "seconds": 1.0, "processor_seconds": 2.0}


def test_the_table_holds_the_claim() -> None:
    text = table(TURNS, num_rollouts=8)
    assert "ours / bare: 0.900 [0.900 … 0.900]" in text
    assert "ours / plain: 0.600" in text
    assert text.endswith("claim ours / bare at least 0.9: holds")
    slow = {**TURNS, "bare": [Turn(200, Spent(1.0, 2.0))] * 2}
    assert table(slow, num_rollouts=8).endswith("DOES NOT HOLD")


def test_an_answer_has_room_behind_the_cue() -> None:
    assert answer_end([7, 8], CUE) == 2
    assert answer_end([7, 4, 5, 9], CUE) == 1 + 2 + 3


def test_only_answers_that_are_missing_are_asked_for_again() -> None:
    requests = [Request([1], 8, seed) for seed in range(4)]
    thought = [
        Done([7, 8], "length"),  # no cue: it is put there
        Done([7, 4, 5, 9], "length"),  # two tokens of the answer are missing
        Done([7, 4, 5, 9, 9, 9], "length"),  # its answer is full
        Done([7, 2], "stop"),  # it ended by itself
    ]
    again = list(unanswered(requests, thought, CUE))
    assert [request.prompt_tokens for request in again] == [[1, 7, 8, 4, 5], [1, 7, 4, 5, 9]]
    assert [request.max_tokens for request in again] == [3, 2]

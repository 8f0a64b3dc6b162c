"""Cutting and judging: the answer is what stands behind the cue, and every token belongs to one segment."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import score
from stages.contracts import params
from stages.contracts.errors import BadInput
from stages.contracts.render import Renderer
from stages.tasks.formats import load_format
from stages.tasks.task import Problem
from stages.verifiers.isolated import Request, judge
from stages.verifiers.verdict import Verdict

TASK = params.load(Path(__file__).parent.parent / "params.yaml").task
FORM = load_format(TASK)
RENDERER = Renderer(FORM.tokenizer([]))
CUE, EOS = RENDERER.encode(FORM.cue)[0], RENDERER.eos_token
PROBLEM = Problem("p", "train", 3, "<bos> 3 7 5 T36 :", "7 + 5 12 12 * 3 36", {"numbers": [3, 7, 5], "target": 36}, 0)
GOOD, BAD = "7 + 5 12 12 * 3 36", "7 - 5 2 3 * 2 6"


def tokens_of(text: str) -> tuple[list[int], int]:
    """A completion that ends, and how much of it is thinking."""
    tokens = [*RENDERER.encode(text), EOS]
    return tokens, tokens.index(CUE) if CUE in tokens else len(tokens)


def judged(text: str) -> tuple[Verdict | None, list[Verdict | None]]:
    """Verdicts of the answer and of each thinking segment."""
    parts = score.cut(*tokens_of(text), FORM, RENDERER)
    requests = [Request(PROBLEM, parts.answer, is_attempt=False)]
    requests += [Request(PROBLEM, thought, is_attempt=True) for thought in parts.thoughts]
    answer, *attempts = judge(TASK, requests)
    return answer, attempts


def rows_of(text: str) -> list[dict[str, Any]]:
    tokens, num_thinking = tokens_of(text)
    row = {"rollout_id": "r", "completion_tokens": tokens, "num_thinking_tokens": num_thinking}
    cut = score.cut(tokens, num_thinking, FORM, RENDERER)
    verdicts = iter([Verdict.INCORRECT] * len(cut.spans))
    return list(score._segment_rows(row, cut, verdicts, FORM))


def test_a_right_thought_does_not_make_a_wrong_answer_right() -> None:
    assert judged(f"{GOOD} = # {BAD}") == (Verdict.INCORRECT, [Verdict.CORRECT])
    assert judged(f"{BAD} << # {GOOD}") == (Verdict.CORRECT, [Verdict.INCORRECT])
    assert judged(f"{GOOD} =")[0] == Verdict.UNPARSABLE


def test_an_answer_is_all_that_stands_behind_the_first_cue() -> None:
    assert score.cut(*tokens_of(f"{BAD} << # {GOOD}"), FORM, RENDERER).answer == GOOD
    assert score.cut(*tokens_of(f"# {BAD} # {GOOD}"), FORM, RENDERER).answer == f"{BAD} # {GOOD}"
    assert score.cut(*tokens_of(BAD), FORM, RENDERER).answer == ""


def test_segments_by_hand() -> None:
    rows = rows_of(f"{BAD} << {GOOD} = 7 # {GOOD}")
    columns = ("kind", "start_token", "end_token", "attempt_verdict", "self_verdict")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ("attempt", 0, 9, "incorrect", False),
        ("attempt", 9, 18, "incorrect", True),
        ("other", 18, 19, "incorrect", None),
        ("answer", 19, 29, None, None),
    ]


@given(st.lists(st.sampled_from(["7", "+", "=", "<<", "<", "#"]), max_size=20))
def test_segments_tile_the_completion(words: list[str]) -> None:
    rows = rows_of(" ".join(words))
    assert [row["segment_index"] for row in rows] == list(range(len(rows)))
    ends = [0, *(row["end_token"] for row in rows)]
    assert [row["start_token"] for row in rows] == ends[:-1]
    assert ends[-1] == len(words) + 1
    assert [row["kind"] for row in rows].count("answer") == ("#" in words)


def test_a_rollout_of_an_unknown_problem_is_refused() -> None:
    rows = [{"rollout_id": "i1/q/0", "problem_id": "q"}, {"rollout_id": "i1/p/0", "problem_id": "p"}]
    with pytest.raises(BadInput, match=r"rollouts, column problem_id: 1 row.*i1/q/0"):
        score.find_problems(rows, [PROBLEM])

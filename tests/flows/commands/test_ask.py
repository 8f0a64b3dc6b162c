"""`knowhow ask`: how a stream is told, and a policy that is not there. The stream: test_ask.py."""

from pathlib import Path

from flows.commands.ask import told
from tests.flows.command import knowhow

STREAM = {
    "prompt": "<bos> 3 5 7 T36 :",
    "segments": ["7 + 5 12 12 * 3 36 ="],
    "success": [0.125, 0.9],
    "answer": "7 + 5 12 12 * 3 36",
    "verdict": "correct",
    "num_known_answers": 4,
    "finish_reason": "stop",
}


def test_j_stands_before_the_thinking_and_behind_each_segment() -> None:
    assert told(STREAM).splitlines() == [
        "<bos> 3 5 7 T36 :",
        "",
        "J      SEGMENT",
        "0.125  (asked)",
        "0.900  7 + 5 12 12 * 3 36 =",
        "",
        "answer: 7 + 5 12 12 * 3 36  (correct)",
    ]


def test_where_nothing_is_known_it_says_so() -> None:
    unknown = {**STREAM, "success": [None, None], "verdict": None, "num_known_answers": 0}
    lines = told(unknown).splitlines()
    assert lines[3].split() == ["?", "(asked)"]
    assert "--answer" in lines[-1]


def test_a_policy_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "data/policies/r0").mkdir(parents=True)
    done = knowhow(tmp_path, "ask", "i9", "3 5 7 T36")
    assert done.returncode == 2
    assert "no policy i9 in data/policies; choose from ['r0']" in done.stderr

"""An exam graded by the real verifier, by hand."""

from pathlib import Path

import pytest

from stages.contracts.params.inits.model import ModelShape
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.thoughts import THOUGHTS
from stages.engines.judging import Wording, load_judge, save_wording
from stages.engines.new_policy import new_policy
from stages.engines.policy import save_policy
from stages.running.errors import BadInput
from tests.exam_world import FORM, RENDERER, RIGHT, Exam

SHAPE = ModelShape(
    hidden_size=64, intermediate_size=24, num_layers=1, num_heads=2, max_positions=64
)


def test_grades_are_those_computed_by_hand(tmp_path: Path) -> None:
    grades = Exam(tmp_path).grade()
    counts = [name for name in grades.columns if name.startswith("num_")]
    names = [
        *("segments", "repeats", "hits", "judged_hits", "judged_misses"),
        *("false_negatives", "false_positives"),
    ]
    assert counts == [f"num_{name}" for name in names]
    assert grades.loc[("h0", 1.0, 0, 9), counts].tolist() == [1, 0, 0, 0, 1, 0, 1]
    assert grades.loc[("h0", 1.0, 0, 36), counts].tolist() == [2, 0, 1, 1, 1, 0, 1]
    assert grades.loc[("h0", 1.0, 1, 36), counts].tolist() == [1, 0, 1, 1, 0, 1, 0]
    # The last segment, cut short, has no verdict of its own; the second repeats the first.
    assert grades.loc[("h1", 1.0, 0, 36), counts].tolist() == [3, 1, 0, 0, 2, 0, 0]
    assert grades.loc[("h0", 1.0, 1, 0), "verdict"] == "unparsable"
    assert grades["judge_score"].isna().all()
    assert set(grades.xs("s0")["split"]) == {"train"}


def test_a_text_that_its_tokens_do_not_read_is_refused(tmp_path: Path) -> None:
    exam, path = Exam(tmp_path), tmp_path / "thoughts.parquet"
    rows = read_table(path, THOUGHTS).to_pylist()
    rows[1]["thinking_text"] += " 7"
    write_table(path, THOUGHTS, rows)
    with pytest.raises(BadInput, match=r"thinking_text: 1 row\(s\) are not .* first .*'h0'"):
        exam.grade()
    write_table(path, THOUGHTS, [{**row, "thinking_text": None} for row in rows])
    assert len(exam.grade())


def test_a_generative_judge_scores_and_the_reward_stays_the_verdicts(tmp_path: Path) -> None:
    exam = Exam(tmp_path)
    exact = exam.grade()
    judge = exam.root / "judge"
    save_policy(new_policy(SHAPE, RENDERER, {}, seed=3), RENDERER, judge)
    save_wording(Wording(FORM.cue, *FORM.judge_words), judge)
    scored = exam.grade()
    assert scored["judge_score"].between(0, 1).all()
    assert scored["reward"].equals(exact["reward"])
    [expected] = load_judge(judge)(["<bos> 3 7 5 T36 :"], [RIGHT])
    assert scored.loc[("h0", 1.0, 0, 18), "judge_score"] == pytest.approx(expected, rel=1e-6)

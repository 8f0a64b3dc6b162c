"""Cutting and judging: the answer stands behind the cue; every token belongs to one segment."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fixtures.rows import row
from stages import score
from stages.contracts.format import write_format
from stages.contracts.params.recipes.segments import (
    CutpointCut,
    FixedCut,
    MarkerCut,
    Segments,
)
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.verdict import Verdict
from stages.engines.judging import EXACT, JUDGE_FILE, Wording, load_judge, save_wording
from stages.engines.new_policy import new_policy
from stages.engines.policy import save_policy
from stages.pure.credit import group_normalized
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from stages.tasks.marks import marks_of
from stages.tasks.rows import problem_row
from stages.tasks.task import Problem
from stages.verifiers.isolated import verify

ROOT = Path(__file__).parent.parent
EVERYTHING = load(ROOT / "params.yaml")
TASK = EVERYTHING.task
FORM = load_format(TASK)
MARKS = marks_of(FORM)
RENDERER = Renderer(FORM.tokenizer([]))
CUE, EOS = RENDERER.encode(FORM.cue)[0], RENDERER.eos_token
PROBLEM = Problem(
    "p",
    "train",
    3,
    "<bos> 3 7 5 T36 :",
    "7 + 5 12 12 * 3 36",
    {"numbers": [3, 7, 5], "target": 36},
    0,
)
GOOD, BAD = "7 + 5 12 12 * 3 36", "7 - 5 2 3 * 2 6"
MARKER = MarkerCut(cut="marker")
WORDS = ["7", "+", "=", "<<", "<", "#"]


def rollout(text: str, logprob: float = -0.5) -> dict[str, Any]:
    """A rollout that ends by itself."""
    tokens = [*RENDERER.encode(text), EOS]
    num_thinking = tokens.index(CUE) if CUE in tokens else len(tokens)
    return row(
        ROLLOUTS,
        rollout_id="r",
        problem_id=PROBLEM.problem_id,
        prompt_tokens=RENDERER.encode(PROBLEM.prompt),
        completion_tokens=tokens,
        sampler_logprobs=[logprob] * len(tokens),
        num_thinking_tokens=num_thinking,
    )


def cut_of(text: str) -> score.CutRollout:
    return score.cut(rollout(text), MARKER, MARKS, RENDERER)


def judged(text: str) -> tuple[Verdict | None, list[Verdict | None]]:
    """Verdicts of the answer and of each thinking segment."""
    parts = cut_of(text)
    answer, *attempts = verify(TASK, score.submissions([PROBLEM], [parts], MARKS))
    return answer, attempts


def rows_of(text: str, how: Segments = MARKER, logprob: float = -0.5) -> list[dict[str, Any]]:
    sampled = rollout(text, logprob)
    cut = score.cut(sampled, how, MARKS, RENDERER)
    verdicts = iter([Verdict.INCORRECT] * sum(thought is not None for thought in cut.thoughts))
    return list(score._segment_rows(sampled, cut, verdicts, MARKS, RENDERER))


def test_a_right_thought_does_not_make_a_wrong_answer_right() -> None:
    assert judged(f"{GOOD} = # {BAD}") == (Verdict.INCORRECT, [Verdict.CORRECT])
    assert judged(f"{BAD} << # {GOOD}") == (Verdict.CORRECT, [Verdict.INCORRECT])
    assert judged(f"{GOOD} =")[0] == Verdict.UNPARSABLE


def test_an_answer_is_all_that_stands_behind_the_first_cue() -> None:
    assert cut_of(f"{BAD} << # {GOOD}").answer == GOOD
    assert cut_of(f"# {BAD} # {GOOD}").answer == f"{BAD} # {GOOD}"
    assert cut_of(BAD).answer == ""


def test_segments_by_hand() -> None:
    rows = rows_of(f"{BAD} << {GOOD} = 7 # {GOOD}")
    columns = ("kind", "start_token", "end_token", "attempt_verdict", "self_verdict")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ("attempt", 0, 9, "incorrect", False),
        ("attempt", 9, 18, "incorrect", True),
        ("other", 18, 19, "incorrect", None),
        ("answer", 19, 29, None, None),
    ]


@given(
    st.lists(st.sampled_from(WORDS), max_size=20),
    st.sampled_from(
        [
            MARKER,
            FixedCut(cut="fixed", num_tokens=3),
            CutpointCut(cut="cutpoint", max_prob=0.9, min_tokens=2),
        ]
    ),
    st.sampled_from([-0.5, -0.01]),
)
def test_segments_tile_the_completion(words: list[str], how: Segments, logprob: float) -> None:
    rows = rows_of(" ".join(words), how, logprob)
    assert [row["segment_index"] for row in rows] == list(range(len(rows)))
    ends = [0, *(row["end_token"] for row in rows)]
    assert [row["start_token"] for row in rows] == ends[:-1]
    assert ends[-1] == len(words) + 1
    assert [row["kind"] for row in rows].count("answer") == ("#" in words)
    assert "".join(row["text"] for row in rows) == RENDERER.text(
        [*RENDERER.encode(" ".join(words)), EOS]
    )


# Two turns: the policy calls, an environment replies with what looks like an attempt, a marker and
# an answer, the policy thinks on and answers.
CALL, REPLY, MORE = "7 + 5 <<", f"{GOOD} = # {GOOD} =", f"{BAD} <"


def two_turns(is_cue_forced: bool) -> dict[str, Any]:
    turns = [(CALL, 0), (REPLY, 2), (MORE, 0), ("#", int(is_cue_forced)), (BAD, 0)]
    tokens: list[int] = []
    origin: list[int] = []
    for text, code in turns:
        ids = RENDERER.encode(text)
        tokens += ids
        origin += [code] * len(ids)
    return row(
        ROLLOUTS,
        problem_id=PROBLEM.problem_id,
        completion_tokens=[*tokens, EOS],
        token_origin=[*origin, 0],
        num_thinking_tokens=len(tokens) - len(RENDERER.encode(f"# {BAD}")),
        finish_reason="forced" if is_cue_forced else "stop",
    )


@pytest.mark.parametrize("is_cue_forced", [False, True])
def test_what_an_environment_replies_is_neither_attempt_nor_answer(is_cue_forced: bool) -> None:
    sampled = two_turns(is_cue_forced)
    called, replied = (len(RENDERER.encode(text)) for text in (CALL, REPLY))
    cut = score.cut(sampled, MARKER, MARKS, RENDERER)
    thinking = sampled["num_thinking_tokens"]
    assert cut.spans == [(0, called + replied), (called + replied, thinking)]
    assert cut.thoughts == [CALL, MORE]
    assert cut.answer == BAD
    segments = list(
        score._segment_rows(sampled, cut, iter([Verdict.UNPARSABLE] * 2), MARKS, RENDERER)
    )
    assert [segment["kind"] for segment in segments] == ["attempt", "attempt", "answer"]
    ends = [called + replied, thinking, len(sampled["token_origin"])]
    assert [segment["end_token"] for segment in segments] == ends


@pytest.mark.parametrize(
    "how",
    [
        FixedCut(cut="fixed", num_tokens=4),
        CutpointCut(cut="cutpoint", max_prob=0.9, min_tokens=4),
    ],
)
def test_no_cut_lies_in_a_reply(how: Segments) -> None:
    """Four sampled tokens, the reply, then four and more: a cut where the reply ends, and on."""
    sampled = two_turns(is_cue_forced=True)
    end = len(RENDERER.encode(CALL)) + len(RENDERER.encode(REPLY))
    spans = score.cut(sampled, how, MARKS, RENDERER).spans
    assert spans[:2] == [(0, end), (end, end + 4)]
    assert spans[-1][1] == sampled["num_thinking_tokens"]


def test_fixed_segments_by_hand() -> None:
    """Nothing is asked about what lies between two such cuts, even where an attempt does."""
    rows = rows_of(f"{BAD} << {GOOD} = # {GOOD}", FixedCut(cut="fixed", num_tokens=9))
    columns = ("kind", "start_token", "end_token", "attempt_verdict", "self_verdict")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ("other", 0, 9, None, None),
        ("other", 9, 18, None, None),
        ("answer", 18, 28, None, None),
    ]


def test_cutpoints_lie_before_what_the_sampler_found_unlikely() -> None:
    sampled = rollout(f"{BAD} <<")
    sampled["sampler_logprobs"] = np.log([1, 0.5, 0.95, 0.5, 1, 1, 0.2, 0.2, 1, 1]).tolist()
    how = CutpointCut(cut="cutpoint", max_prob=0.9, min_tokens=2)
    assert score.cut(sampled, how, MARKS, RENDERER).spans == [(0, 3), (3, 6), (6, 10)]


@pytest.mark.parametrize(
    "how",
    [
        FixedCut(cut="fixed", num_tokens=4),
        CutpointCut(cut="cutpoint", max_prob=0.9, min_tokens=4),
    ],
)
def test_a_stream_without_markers_is_one_segment_by_markers_and_several_by_other_cuts(
    how: Segments,
) -> None:
    text = "7 + 5 12 7 + 5 12 7 + 5 12"
    assert [row["kind"] for row in rows_of(f"{text} # {GOOD}")] == ["other", "answer"]
    assert [row["kind"] for row in rows_of(f"{text} # {GOOD}", how)] == [
        "other",
        "other",
        "other",
        "answer",
    ]


def test_rollouts_of_unknown_problems_are_refused(tmp_path: Path) -> None:
    names = ("i1/p/0", "i1/q/0", "i1/q/1")
    rows = [rollout("12") | {"rollout_id": name, "problem_id": name[3]} for name in names]
    write_table(tmp_path / "rollouts.parquet", ROLLOUTS, rows)
    with pytest.raises(BadInput, match=r"rollouts, column problem_id: 2 row.*i1/q/0"):
        score.need_problems(tmp_path / "rollouts.parquet", {"p": PROBLEM})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A round of five rollouts: right and wrong, and one that never answers."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw["recipes"]["outcome"]["segments"] = {"cut": "fixed", "num_tokens": 4}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    texts = [f"{BAD} << # {GOOD}", f"{GOOD} = # {BAD}", f"# {GOOD}", f"{BAD} <<", f"# {BAD}"]
    rows = [
        rollout(text) | {"rollout_id": f"r/{index}", "sample_index": index}
        for index, text in enumerate(texts)
    ]
    write_table(tmp_path / "rollouts.parquet", ROLLOUTS, rows)
    write_table(tmp_path / "problems.parquet", PROBLEMS, [problem_row("countdown", PROBLEM)])
    (tmp_path / "exact").mkdir()
    (tmp_path / "exact" / JUDGE_FILE).write_text(json.dumps({"kind": EXACT}))
    model = new_policy(EVERYTHING.inits["r0"].model, RENDERER, FORM.token_values, seed=1)
    save_policy(model, RENDERER, tmp_path / "g1")
    save_wording(Wording(FORM.cue, *FORM.judge_words), tmp_path / "g1")
    write_format(tmp_path / "format.json", MARKS)
    return tmp_path


def scored(
    folder: Path, judge: str, round_id: str = "i1"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Scores and segments as the stage writes them."""
    scores, segments = folder / "scores.parquet", folder / "segments.parquet"
    rollouts, tokenizer = folder / "rollouts.parquet", folder / "g1" / "tokenizer.json"
    score.main(
        round_id,
        folder / "problems.parquet",
        folder / "format.json",
        folder / judge,
        tokenizer,
        rollouts,
        scores,
        segments,
        folder / "summary.json",
        folder / "params.yaml",
    )
    return read_table(scores, SCORES).to_pylist(), read_table(segments, SEGMENTS).to_pylist()


def test_the_exact_judge_gives_the_reward_of_the_verdict(folder: Path) -> None:
    scores, segments = scored(folder, "exact")
    assert [(row["verdict"], row["reward"], row["judge_score"]) for row in scores] == [
        ("correct", 1, None),
        ("incorrect", 0, None),
        ("correct", 1, None),
        ("unparsable", 0, None),
        ("incorrect", 0, None),
    ]
    assert [(row["kind"], row["attempt_verdict"]) for row in segments] == [
        ("attempt", "incorrect"),
        ("answer", None),
        ("attempt", "correct"),
        ("answer", None),
        ("answer", None),
        ("attempt", "incorrect"),
        ("other", "unparsable"),
        ("answer", None),
    ]


def test_the_recipe_says_how_a_round_is_cut(folder: Path) -> None:
    _, segments = scored(folder, "exact", round_id="o1")
    first = [row for row in segments if row["rollout_id"] == "r/0"]
    assert [(row["kind"], row["end_token"]) for row in first] == [
        ("other", 4),
        ("other", 8),
        ("other", 9),
        ("answer", 19),
    ]
    assert {row["attempt_verdict"] for row in segments} == {None}


def test_a_generative_judge_decides_the_reward_and_the_verdict_stays_exact(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    exact, _ = scored(folder, "exact")
    scores, _ = scored(folder, "g1")
    assert [row["verdict"] for row in scores] == [row["verdict"] for row in exact]
    given = load_judge(folder / "g1")([PROBLEM.prompt] * 5, [GOOD, BAD, GOOD, "", BAD])
    assert [row["judge_score"] for row in scores] == pytest.approx(given, abs=1e-7)
    assert (
        scores[0]["judge_score"] == scores[2]["judge_score"]
    )  # the thinking before it means nothing
    assert [row["reward"] for row in scores] == [float(value >= 0.5) for value in given]


def test_decisions_teach_nothing_where_a_judge_finds_all_answers_alike_and_scores_would() -> None:
    """Why the score is no reward: divided by the group's deviation, a hair is worth a victory."""
    scores = np.array([0.010, 0.011, 0.012, 0.013])
    group = np.zeros(4, dtype=int)

    def advantages(rewards: np.ndarray) -> np.ndarray:
        return group_normalized(rewards, group, normalize_by_std=True, std_epsilon=1e-4)

    assert np.abs(advantages(scores)).max() > 1
    assert not advantages((scores >= 0.5).astype(float)).any()


def test_what_is_no_judge_is_refused_before_anything_is_written(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"judge\.json is missing"):
        scored(folder, "nobody")
    assert not (folder / "scores.parquet").exists()

"""Judge every rollout, cut it into segments, and judge the attempt inside each.

Reads   rollouts, problems, the format of their text, the policy's tokenizer, the round's judge;
        params.yaml `task`, the recipe's `segments`.
Writes  scores, one row per rollout; segments, one row per segment, tiling the completion; summary,
        one JSON object: what the round amounts to, tokens and fractions of rollouts.
Method  Only what follows the cue is judged as the answer, never the thinking; and of both only what
        the policy wrote. Verifiers run in killable workers: a hang or a crash is a verdict without
        a reward, not a zero. Of a
        generative judge's score the reward is the decision, 1 from 0.5 on; the verdict stays the
        exact verifier's, so that the judge can be held against it. Rollouts stream through, so
        memory does not grow with them. Thinking that the task's markers do not cut (`fixed`,
        `cutpoint`) has segments of kind `other` without verdicts.

Example: python -m stages.score --round-id i1 --problems data/problems.parquet \
         --text-format data/format.json --judge data/judges/exact \
         --tokenizer data/policies/r0/tokenizer.json --rollouts data/rounds/i1/rollouts.parquet \
         --scores data/rounds/i1/scores.parquet --segments data/rounds/i1/segments.parquet \
         --summary data/metrics/summary/rounds/i1.json
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool

from stages.contracts.format import Format, closing_marker, read_format, without_marker
from stages.contracts.origin import Origin, answer_start
from stages.contracts.params.base import Name, read_section
from stages.contracts.params.recipes.segments import (
    CutpointCut,
    FixedCut,
    Segments,
)
from stages.contracts.params.task import TaskParams
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import count_rows, read_batches
from stages.contracts.storage.writing import table_writer
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.token_text import span_texts, token_texts
from stages.contracts.verdict import Verdict, Verification
from stages.engines.judging import open_judge
from stages.pure.course.round_summary import RoundSummary
from stages.pure.judgement import DECISION
from stages.pure.segments import cutpoint_boundaries, fixed_boundaries, marker_boundaries
from stages.running.errors import BadInput, command
from stages.running.progress import ProgressBar
from stages.running.publish import RunFacts, write_json
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem
from stages.verifiers import isolated
from stages.verifiers.isolated import Submission

COLUMNS = (
    "rollout_id",
    "problem_id",
    "completion_tokens",
    "token_origin",
    "num_thinking_tokens",
    "finish_reason",
)


class CutRollout(NamedTuple):
    """The token span of each thinking segment, its text if it may hold an attempt; the answer."""

    spans: list[tuple[int, int]]
    thoughts: list[str | None]
    answer: str


def main(
    round_id: str,
    problems: Path,
    text_format: Path,
    judge: Path,
    tokenizer: Path,
    rollouts: Path,
    scores: Path,
    segments: Path,
    summary: Path,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Score the rollouts of one round."""
    recipe = read_section(params_file, f"rounds.{round_id}.recipe", Name)
    how: Segments = read_section(params_file, f"recipes.{recipe}.segments", Segments)
    facts = RunFacts("score")
    form = read_format(text_format)
    renderer = Renderer.of_policy(tokenizer)
    known = {problem.problem_id: problem for problem in read_problems(problems)}
    need_problems(rollouts, known)
    columns = [*COLUMNS, *(["sampler_logprobs"] if isinstance(how, CutpointCut) else [])]
    num_rollouts = count_rows(rollouts, ROLLOUTS)
    summed, place = RoundSummary(len(known)), {name: index for index, name in enumerate(known)}

    with (
        facts.phase("judging"),
        ProgressBar(f"score {round_id}", num_rollouts, unit="rollout") as progress,
        table_writer(segments, SEGMENTS) as to_segments,
        table_writer(scores, SCORES) as to_scores,
        isolated.open_verifiers(read_section(params_file, "task", TaskParams)) as verifiers,
        open_judge("score", judge) as score_answers,
    ):
        for batch in read_batches(rollouts, ROLLOUTS, columns):
            rows = batch.to_pylist()
            batch_problems = [known[row["problem_id"]] for row in rows]
            cuts = [cut(row, how, form, renderer) for row in rows]
            verifications = verifiers.verify(submissions(batch_problems, cuts, form))
            prompts = [problem.prompt for problem in batch_problems]
            judge_scores = score_answers(prompts, [thoughts.answer for thoughts in cuts])
            score_rows = [*map(_score_row, rows, cuts, verifications, judge_scores)]
            to_scores.add(score_rows)
            count(summed, rows, cuts, score_rows, place)
            attempts = (attempt and attempt.verdict for attempt in verifications[len(rows) :])
            for row, row_cut in zip(rows, cuts, strict=True):
                to_segments.add(_segment_rows(row, row_cut, attempts, form, renderer))
            progress.add(len(rows))
    write_json(summary, summed.numbers())
    facts.count(num_rollouts=num_rollouts, num_segments=to_segments.num_rows)
    facts.write(scores)


def need_problems(rollouts: Path, known: Mapping[str, Problem]) -> None:
    """Refuse rollouts of problems that are not known, before any is judged.

    Raises:
        BadInput: a row asks a problem that is not in the table.
    """
    names = pa.array(known, pa.string())
    num_foreign, first = 0, None
    for batch in read_batches(rollouts, ROLLOUTS, ["rollout_id", "problem_id"]):
        foreign = batch.filter(pc.invert(pc.is_in(batch["problem_id"], names)))
        if foreign.num_rows:
            num_foreign, first = (
                num_foreign + foreign.num_rows,
                first or foreign["rollout_id"][0].as_py(),
            )
    if num_foreign:
        raise BadInput(
            f"table rollouts, column problem_id: {num_foreign} row(s) ask a problem that problems "
            f"does not have; first rollout_id {first}; run `dvc repro` to sample again"
        )


def count(
    summed: RoundSummary,
    rows: Sequence[Mapping[str, Any]],
    cuts: Sequence[CutRollout],
    score_rows: Sequence[Mapping[str, Any]],
    place: Mapping[str, int],
) -> None:
    """Add some rollouts to the sums of their round; `place` is the index of each problem."""
    verdicts = np.array([row["verdict"] for row in score_rows])
    summed.add(
        np.array([place[row["problem_id"]] for row in rows]),
        np.array([row["reward"] for row in score_rows], dtype=float),
        verdicts == Verdict.CORRECT,
        thinking_tokens=np.array([row["num_thinking_tokens"] for row in rows]),
        unparsable=verdicts == Verdict.UNPARSABLE,
        unended=np.array([row["finish_reason"] == "length" for row in rows]),
    )
    for row, row_cut in zip(rows, cuts, strict=True):
        texts = {tuple(row["completion_tokens"][start:end]) for start, end in row_cut.spans}
        summed.add_segments(len(row_cut.spans), len(row_cut.spans) - len(texts))


def submissions(
    problems: Sequence[Problem], cuts: Sequence[CutRollout], form: Format
) -> list[Submission]:
    """What is to be judged: the answers, then all thoughts that may hold an attempt."""
    answers = [
        Submission(problem, rollout_cut.answer, is_attempt=False)
        for problem, rollout_cut in zip(problems, cuts, strict=True)
    ]
    thoughts = []
    for problem, rollout_cut in zip(problems, cuts, strict=True):
        for text in rollout_cut.thoughts:
            if text is not None:
                attempt = without_marker(text, form.segment_ends)
                thoughts.append(Submission(problem, attempt, is_attempt=True))
    return answers + thoughts


def cut(row: Mapping[str, Any], how: Segments, form: Format, renderer: Renderer) -> CutRollout:
    """Cut a rollout's thinking.

    The answer is what follows the cue, and empty where there is no cue.
    """
    tokens, num_thinking = row["completion_tokens"], row["num_thinking_tokens"]
    is_sampled = np.array(row["token_origin"], dtype=np.int8) == Origin.SAMPLED
    is_thought = is_sampled[:num_thinking]
    if isinstance(how, FixedCut):
        boundaries = fixed_boundaries(is_thought, how.num_tokens)
    elif isinstance(how, CutpointCut):
        logprobs = np.array(row["sampler_logprobs"][:num_thinking], dtype=np.float64)
        boundaries = cutpoint_boundaries(logprobs, is_thought, how.max_prob, how.min_tokens)
    else:
        words = token_texts(renderer, tokens[:num_thinking])
        boundaries = marker_boundaries(words, form.segment_ends, is_thought)
    spans = list(pairwise(boundaries))
    is_marked = how.finds_attempts
    thoughts = [_text(tokens, is_sampled, a, b, renderer) if is_marked else None for a, b in spans]
    start = answer_start(row["token_origin"], num_thinking)
    return CutRollout(spans, thoughts, _text(tokens, is_sampled, start, len(tokens), renderer))


def _text(
    tokens: Sequence[int],
    is_sampled: Bool[np.ndarray, " token"],
    start: int,
    end: int,
    renderer: Renderer,
) -> str:
    """What the policy wrote between two positions."""
    return renderer.decode([tokens[place] for place in range(start, end) if is_sampled[place]])


def _score_row(
    row: Mapping[str, Any],
    cut: CutRollout,
    verification: Verification | None,
    judge_score: float | None,
) -> dict[str, Any]:
    assert verification is not None, "an answer always has a verdict"
    return {
        "rollout_id": row["rollout_id"],
        "verdict": verification.verdict,
        "reward": verification.reward if judge_score is None else float(judge_score >= DECISION),
        "judge_score": judge_score,
        "answer": cut.answer,
    }


def _segment_rows(
    row: Mapping[str, Any],
    cut: CutRollout,
    attempts: Iterator[Verdict | None],
    form: Format,
    renderer: Renderer,
) -> Iterator[dict[str, Any]]:
    """Rows of one rollout's segments: its thinking, then its answer where it has one."""
    tokens, num_thinking = row["completion_tokens"], row["num_thinking_tokens"]
    ends = [end for _, end in cut.spans]
    if num_thinking < len(tokens):
        ends.append(len(tokens))
    segment_texts = span_texts(tokens, ends, renderer.text)
    for index, ((start, end), text) in enumerate(zip(cut.spans, cut.thoughts, strict=True)):
        marker = None if text is None else closing_marker(text, form.segment_ends)
        yield {
            "rollout_id": row["rollout_id"],
            "segment_index": index,
            "kind": "other" if marker is None else "attempt",
            "start_token": start,
            "end_token": end,
            "text": segment_texts[index],
            "attempt_verdict": None if text is None else next(attempts),
            "self_verdict": form.self_verdicts.get(marker) if marker else None,
        }
    if num_thinking < len(tokens):
        yield {
            "rollout_id": row["rollout_id"],
            "segment_index": len(cut.spans),
            "kind": "answer",
            "start_token": num_thinking,
            "end_token": len(tokens),
            "text": segment_texts[-1],
            "attempt_verdict": None,
            "self_verdict": None,
        }


if __name__ == "__main__":
    command(main, writes=("scores", "segments", "summary"))

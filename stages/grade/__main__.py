"""Judge an exam: a verdict for every answer, and what the thinking before it came to.

Reads   answers, thoughts, problems, the format of their text, the policy's tokenizer, the exam's
        judge; params.yaml `task`.
Writes  grades, one row per (problem, temperature, sample, budget).
Method  The task's verifier judges answers and attempts in killable workers
        (`stages.verifiers.isolated`); a generative judge also scores each answer. An exam pays no
        partial credit. Numbers are the next stage's business.

Example: python -m stages.grade --problems data/problems.parquet --text-format data/format.json \
         --tokenizer data/policies/r0/tokenizer.json --judge data/judges/exact \
         --answers data/exams/r0/answers.parquet --thoughts data/exams/r0/thoughts.parquet \
         --grades data/exams/r0/grades.parquet
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages.contracts.format import Format, read_format
from stages.contracts.params.base import read_section
from stages.contracts.params.task import TaskParams
from stages.contracts.render import Renderer
from stages.contracts.storage.joins import aligned
from stages.contracts.storage.reading import count_rows, read_batches
from stages.contracts.storage.writing import table_writer
from stages.contracts.tables.answers import ANSWERS
from stages.contracts.tables.grades import GRADES
from stages.contracts.tables.thoughts import THOUGHTS
from stages.contracts.token_text import token_texts
from stages.contracts.verdict import Verification
from stages.engines.judging import open_judge
from stages.grade.thinking import Thought, count, look
from stages.pure.segments import marker_boundaries
from stages.running.errors import REMEDY, BadInput, command
from stages.running.progress import ProgressBar
from stages.running.publish import RunFacts
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem
from stages.verifiers import isolated
from stages.verifiers.isolated import Submission

SampleKey = tuple[str, float, int]
"""Problem, temperature and index of a sample."""


def main(
    problems: Path,
    text_format: Path,
    tokenizer: Path,
    judge: Path,
    answers: Path,
    thoughts: Path,
    grades: Path,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Judge the answers of one exam."""
    task = read_section(params_file, "task", TaskParams)
    facts = RunFacts("grade")
    by_id = {problem.problem_id: problem for problem in read_problems(problems)}
    renderer, form = Renderer.of_policy(tokenizer), read_format(text_format)
    num_answers = count_rows(answers, ANSWERS)

    with (
        facts.phase("judging"),
        ProgressBar("grade", num_answers, unit="answer") as progress,
        table_writer(grades, GRADES) as to_grades,
        isolated.open_verifiers(task) as pool,
        open_judge("grade", judge) as rate,
    ):
        streams = read_batches(answers, ANSWERS), read_batches(thoughts, THOUGHTS)
        for given, thought in aligned("problem_id", *streams):
            rows = given.to_pylist()
            requests = [Submission(by_id[row["problem_id"]], row["answer"], False) for row in rows]
            judged = pool.verify(requests)
            need_texts(thought, renderer)
            looked = look_at_thinking(thought.to_pylist(), by_id, form, renderer, pool)
            scores = rate([r.problem.prompt for r in requests], [r.text for r in requests])
            to_grades.add(
                _grade_row(
                    row,
                    request.problem,
                    found,
                    score,
                    looked[sample_key(row)],
                )
                for row, request, found, score in zip(rows, requests, judged, scores, strict=True)
            )
            progress.add(len(rows))
    facts.count(num_answers=num_answers)
    facts.write(grades)


def sample_key(row: Mapping[str, Any]) -> SampleKey:
    """Which sample of the exam a row of answers or thoughts is about."""
    return row["problem_id"], row["temperature"], row["sample_index"]


def need_texts(thoughts: pa.Table, renderer: Renderer) -> None:
    """Refuse texts that are not what the tokens beside them read; files of before have none.

    Raises:
        BadInput: one is not.
    """
    rows = thoughts.select(["thinking_tokens", "thinking_text"]).to_pylist()
    is_other = [
        row["thinking_text"] not in (None, renderer.text(row["thinking_tokens"])) for row in rows
    ]
    if any(is_other):
        first = thoughts.slice(is_other.index(True), 1).select([*THOUGHTS.key]).to_pylist()[0]
        raise BadInput(
            f"table thoughts, column thinking_text: {sum(is_other)} row(s) are not what their "
            f"tokens read; first {first}; {REMEDY}"
        )


def look_at_thinking(
    samples: Sequence[Mapping[str, Any]],
    problems: Mapping[str, Problem],
    form: Format,
    renderer: Renderer,
    verifiers: isolated.VerifierWorkers,
) -> dict[SampleKey, list[tuple[int, Thought]]]:
    """The thinking segments of each sample and their ends."""
    markers = form.segment_ends
    texts, ends = [], []
    for sample in samples:
        tokens = sample["thinking_tokens"]
        is_sampled = np.ones(len(tokens), dtype=bool)
        boundaries = marker_boundaries(token_texts(renderer, tokens), markers, is_sampled)
        texts.append([renderer.decode(tokens[a:b]) for a, b in pairwise(boundaries)])
        ends.append(boundaries[1:])
    looked = look([problems[sample["problem_id"]] for sample in samples], texts, form, verifiers)
    keys = map(sample_key, samples)
    return {
        key: [*zip(*columns, strict=True)] for key, *columns in zip(keys, ends, looked, strict=True)
    }


def _grade_row(
    row: Mapping[str, Any],
    problem: Problem,
    verification: Verification | None,
    judge_score: float | None,
    thoughts: Sequence[tuple[int, Thought]],
) -> dict[str, Any]:
    assert verification is not None, "an answer always has a verdict"
    return {
        **{name: row[name] for name in GRADES.schema.names if name in row},
        "split": problem.split,
        "difficulty": problem.difficulty,
        "verdict": verification.verdict,
        "reward": verification.verdict.reward,  # an exam gives no partial credit
        "judge_score": judge_score,
        **count([thought for end, thought in thoughts if end <= row["budget_tokens"]]),
    }


if __name__ == "__main__":
    command(main, writes=("grades",))

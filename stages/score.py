"""Judge every rollout, cut it into segments, and judge the attempt inside each.

Reads   rollouts, problems, the policy's tokenizer; params.yaml `task`.
Writes  scores, one row per rollout; segments, one row per segment, tiling the completion.
Method  Only what follows the cue is judged as the answer, never the thinking. Verifiers run in killable workers: a
        hang or a crash is a verdict without a reward, not a zero.

Example: python -m stages.score --problems data/problems.parquet --tokenizer data/policies/r0/tokenizer.json \
         --rollouts data/rounds/i1/rollouts.parquet --scores data/rounds/i1/scores.parquet \
         --segments data/rounds/i1/segments.parquet
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from stages.contracts import params, tables
from stages.contracts.errors import BadInput, command
from stages.contracts.facts import RunFacts
from stages.contracts.render import Renderer
from stages.pure.segments import marker_boundaries
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems
from stages.tasks.task import Format, Problem, closing_marker
from stages.verifiers.isolated import Request, judge
from stages.verifiers.verdict import Verdict

COLUMNS = ("rollout_id", "problem_id", "completion_tokens", "num_thinking_tokens")


class Cut(NamedTuple):
    """A completion's thinking segments as text, each with its token span; and the text of its answer."""

    spans: list[tuple[int, int]]
    thoughts: list[str]
    answer: str


def main(
    problems: Path,
    tokenizer: Path,
    rollouts: Path,
    scores: Path,
    segments: Path,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Score the rollouts of one round."""
    settings = params.load(params_file).task
    facts = RunFacts("score")
    form = load_format(settings)
    renderer = Renderer.of_policy(tokenizer)
    rows = tables.read(rollouts, tables.ROLLOUTS, COLUMNS).to_pylist()
    asked = find_problems(rows, read_problems(problems))

    with facts.phase("judging"):
        cuts = [cut(row["completion_tokens"], row["num_thinking_tokens"], form, renderer) for row in rows]
        requests = [Request(p, c.answer, is_attempt=False) for p, c in zip(asked, cuts, strict=True)]
        requests += [Request(p, t, is_attempt=True) for p, c in zip(asked, cuts, strict=True) for t in c.thoughts]
        judged = judge(settings, requests)

    tables.write(scores, tables.SCORES, map(_score_row, rows, cuts, judged))
    attempts = iter(judged[len(rows) :])
    segment_rows = [row for r, c in zip(rows, cuts, strict=True) for row in _segment_rows(r, c, attempts, form)]
    tables.write(segments, tables.SEGMENTS, segment_rows)
    facts.count(num_rollouts=len(rows), num_segments=len(segment_rows))
    facts.write(scores)


def find_problems(rows: Sequence[Mapping[str, Any]], problems: Sequence[Problem]) -> list[Problem]:
    """The problem of each row.

    Raises:
        BadInput: a row asks a problem that is not in the table.
    """
    by_id = {problem.problem_id: problem for problem in problems}
    foreign = [row["rollout_id"] for row in rows if row["problem_id"] not in by_id]
    if foreign:
        raise BadInput(
            f"table rollouts, column problem_id: {len(foreign)} row(s) ask a problem that problems does not have; "
            f"first rollout_id {foreign[0]}; run `dvc repro` to sample again"
        )
    return [by_id[row["problem_id"]] for row in rows]


def cut(tokens: Sequence[int], num_thinking_tokens: int, form: Format, renderer: Renderer) -> Cut:
    """Cut a completion at the task's markers. The answer is what follows the cue, and empty where there is no cue."""
    thinking = tokens[:num_thinking_tokens]
    boundaries = marker_boundaries(thinking, [renderer.encode(marker) for marker in form.segment_ends])
    spans = list(pairwise(boundaries))
    answer = tokens[num_thinking_tokens + len(renderer.encode(form.cue)) :]
    return Cut(spans, [renderer.decode(thinking[a:b]) for a, b in spans], renderer.decode(answer))


def _score_row(row: Mapping[str, Any], cut: Cut, verdict: Verdict | None) -> dict[str, Any]:
    assert verdict is not None, "an answer always has a verdict"
    return {
        "rollout_id": row["rollout_id"],
        "verdict": verdict,
        "reward": verdict.reward,
        "answer": cut.answer,
    }


def _segment_rows(
    row: Mapping[str, Any], cut: Cut, attempts: Iterator[Verdict | None], form: Format
) -> Iterator[dict[str, Any]]:
    """Rows of one rollout's segments: its thinking, then its answer where it has one."""
    num_tokens = len(row["completion_tokens"])
    for index, ((start, end), text) in enumerate(zip(cut.spans, cut.thoughts, strict=True)):
        marker = closing_marker(text, form.segment_ends)
        yield {
            "rollout_id": row["rollout_id"],
            "segment_index": index,
            "kind": "other" if marker is None else "attempt",
            "start_token": start,
            "end_token": end,
            "attempt_verdict": next(attempts),
            "self_verdict": form.self_verdicts.get(marker) if marker else None,
        }
    if row["num_thinking_tokens"] < num_tokens:
        yield {
            "rollout_id": row["rollout_id"],
            "segment_index": len(cut.spans),
            "kind": "answer",
            "start_token": row["num_thinking_tokens"],
            "end_token": num_tokens,
            "attempt_verdict": None,
            "self_verdict": None,
        }


if __name__ == "__main__":
    command(main)

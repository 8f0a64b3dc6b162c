"""Examine a policy: what it answers at every token budget, on held-out problems and on some of the train split.

Reads   policy, problems; params.yaml `task`, `exam`.
Writes  answers, one row per (problem, sample, budget); thoughts, one row per (problem, sample). Judging them is the
        next stage's business.
Method  One long sample per problem and sample index. At each budget the stream is cut, and the answer forced where
        it has not ended, so one sample gives the whole curve; every policy gets the same problems and seeds. Of the
        train split `num_seen` problems of each difficulty are drawn by the exam's seed and asked in the same way:
        what a policy does better on those than on held-out ones it has memorised.

Example: python -m stages.examine --policy-id r0 --policy data/policies/r0 --problems data/problems.parquet \
         --answers data/exams/r0/answers.parquet --thoughts data/exams/r0/thoughts.parquet
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from stages.contracts import params, tables
from stages.contracts.errors import BadInput, command
from stages.contracts.facts import RunFacts
from stages.contracts.publish import atomic, scratch
from stages.contracts.render import Renderer
from stages.engines import shards
from stages.engines.device import exclusive_device
from stages.engines.inference import open_samplers
from stages.engines.pool import Pool
from stages.engines.sampler import Answering, BudgetAnswer, Request, Sampler, Trace, answer_at_budgets
from stages.pure.seeds import derive_seed
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem

Work = tuple[Problem, int]
ANSWERS, THOUGHTS = "answers.parquet", "thoughts.parquet"


def main(
    policy_id: str,
    policy: Path,
    problems: Path,
    answers: Path,
    thoughts: Path,
    params_file: Path = Path("params.yaml"),
    scratch_root: Path = Path("data/.scratch"),
) -> None:
    """Sit one policy's exam."""
    everything = params.load(params_file)
    settings = everything.exam
    facts = RunFacts("examine")
    renderer = Renderer.of_policy(policy)
    answering = Answering(renderer.cue_tokens(load_format(everything.task)), settings.answer_tokens)
    asked = [*read_problems(problems, split="heldout"), *draw_seen(read_problems(problems, split="train"), settings)]
    work = [(problem, index) for problem in asked for index in range(settings.num_samples)]

    with (
        exclusive_device("examine"),
        scratch(scratch_root, f"examine-{policy_id}", settings.model_dump(), [policy, problems]) as unfinished,
        open_samplers(policy, everything.compute.inference) as samplers,
    ):
        with facts.phase("sampling"):
            kept = sit(policy_id, samplers, work, settings, answering, renderer, unfinished)
        with tables.writer(thoughts, tables.THOUGHTS) as to_thoughts:
            to_thoughts.add(tables.merged((shard / THOUGHTS for shard in kept), tables.THOUGHTS))
        with tables.writer(answers, tables.ANSWERS) as to_answers:
            to_answers.add(tables.merged((shard / ANSWERS for shard in kept), tables.ANSWERS))
    facts.count(num_answers=to_answers.num_rows)
    facts.write(answers)


def draw_seen(problems: Sequence[Problem], settings: params.Exam) -> list[Problem]:
    """`num_seen` problems of each difficulty, without replacement.

    Raises:
        BadInput: a difficulty has fewer problems than are to be asked.
    """
    drawn: list[Problem] = []
    for difficulty in sorted({problem.difficulty for problem in problems}):
        pool = [problem for problem in problems if problem.difficulty == difficulty]
        if len(pool) < settings.num_seen:
            raise BadInput(
                f"exam.num_seen asks for {settings.num_seen} problems of each difficulty, but difficulty {difficulty} "
                f"has {len(pool)} in its train split; ask for fewer, or raise task.tiers num_train"
            )
        rng = np.random.default_rng(derive_seed("seen", settings.seed, difficulty))
        drawn += [pool[index] for index in rng.choice(len(pool), settings.num_seen, replace=False)]
    return drawn


def sit(
    policy_id: str,
    samplers: Pool[Sampler],
    work: Sequence[Work],
    settings: params.Exam,
    answering: Answering,
    renderer: Renderer,
    unfinished: Path,
) -> list[Path]:
    """Do the exam's work that is not yet in `unfinished`, at all budgets; the folders of all shards."""
    kept = shards.cut(work, settings.shard_rollouts, unfinished)
    answer = partial(
        answer_at_budgets,
        budgets_tokens=settings.budgets_tokens,
        answering=answering,
        temperature=settings.temperature,
    )
    ask = partial(_request, settings=settings, renderer=renderer)
    for shard, items, sat in shards.missing(kept, samplers, answer, ask, f"examine {policy_id}", "sample"):
        keep(policy_id, items, sat, settings, renderer, shard)
    return [*kept]


def _request(item: Work, settings: params.Exam, renderer: Renderer) -> Request:
    problem, index = item
    longest = max(1, *settings.budgets_tokens)
    return Request(
        renderer.prompt_tokens(problem.prompt), longest, derive_seed("exam", settings.seed, problem.problem_id, index)
    )


def keep(
    policy_id: str,
    work: Sequence[Work],
    sat: Sequence[tuple[Trace, Sequence[BudgetAnswer]]],
    settings: params.Exam,
    renderer: Renderer,
    shard: Path,
) -> None:
    """Write what came of some of the exam's work to the folder `shard`."""
    with atomic(shard) as beside:
        tables.write(
            beside / ANSWERS,
            tables.ANSWERS,
            (
                {
                    "policy_id": policy_id,
                    "problem_id": problem.problem_id,
                    "sample_index": index,
                    "budget_tokens": budget,
                    "used_tokens": min(budget, trace.num_thinking_tokens),
                    "is_forced": answer.is_forced,
                    "answer": renderer.decode(answer.tokens),
                }
                for (problem, index), (trace, answers) in zip(work, sat, strict=True)
                for budget, answer in zip(settings.budgets_tokens, answers, strict=True)
            ),
        )
        tables.write(
            beside / THOUGHTS,
            tables.THOUGHTS,
            (
                {
                    "policy_id": policy_id,
                    "problem_id": problem.problem_id,
                    "sample_index": index,
                    "thinking_tokens": trace.tokens[: trace.num_thinking_tokens],
                }
                for (problem, index), (trace, _) in zip(work, sat, strict=True)
            ),
        )


if __name__ == "__main__":
    command(main)

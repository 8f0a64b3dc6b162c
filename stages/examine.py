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
from pathlib import Path
from typing import Any

import numpy as np

from stages.contracts import params, tables
from stages.contracts.errors import BadInput, command
from stages.contracts.facts import RunFacts
from stages.contracts.progress import Progress
from stages.contracts.publish import atomic, scratch
from stages.contracts.render import Renderer
from stages.engines.device import exclusive_device
from stages.engines.sampler import Answering, Completion, Request, Sampler, Trace, think_then_answer
from stages.pure.seeds import derive_seed
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem

Work = tuple[Problem, int]


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
    ):
        from stages.engines.vllm_sampler import VllmSampler

        sampler = VllmSampler(policy)
        given: list[dict[str, Any]] = []
        thought: list[dict[str, Any]] = []
        with facts.phase("sampling"), Progress(f"examine {policy_id}", len(work), unit="sample") as progress:
            for start in range(0, len(work), settings.shard_rollouts):
                part = work[start : start + settings.shard_rollouts]
                shard = unfinished / f"{start:09d}"
                if not shard.is_dir():
                    sit(policy_id, sampler, part, settings, answering, renderer, progress, shard)
                given += tables.read(shard / "answers.parquet", tables.ANSWERS).to_pylist()
                thought += tables.read(shard / "thoughts.parquet", tables.THOUGHTS).to_pylist()
                progress.add(len(part))
        tables.write(thoughts, tables.THOUGHTS, thought)
        tables.write(answers, tables.ANSWERS, given)
    facts.count(num_answers=len(given))
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
    sampler: Sampler,
    work: Sequence[Work],
    settings: params.Exam,
    answering: Answering,
    renderer: Renderer,
    progress: Progress,
    shard: Path,
) -> None:
    """Do some of the exam's work at all budgets and keep it in the folder `shard`."""
    longest = max(1, *settings.budgets_tokens)
    requests = [
        Request(
            renderer.prompt_tokens(problem.prompt),
            longest,
            derive_seed("exam", settings.seed, problem.problem_id, index),
        )
        for problem, index in work
    ]
    traces = think_then_answer(sampler, requests, answering, settings.temperature, progress.tokens)
    places = [(place, budget) for place in range(len(traces)) for budget in settings.budgets_tokens]
    cuts = [(place, budget) for place, budget in places if not _is_answered(traces[place], budget, longest)]
    pending = [_cut_request(requests[place], traces[place], budget, answering) for place, budget in cuts]
    forced = dict(zip(cuts, sampler.sample(pending, settings.temperature, progress.tokens), strict=True))
    with atomic(shard) as beside:
        tables.write(
            beside / "answers.parquet",
            tables.ANSWERS,
            (
                {
                    "policy_id": policy_id,
                    "problem_id": work[place][0].problem_id,
                    "sample_index": work[place][1],
                    "budget_tokens": budget,
                    "used_tokens": min(budget, traces[place].num_thinking_tokens),
                    "is_forced": (place, budget) in forced or traces[place].is_cut,
                    "answer": renderer.decode(
                        _answer(traces[place], forced.get((place, budget)), len(answering.cue_tokens))
                    ),
                }
                for place, budget in places
            ),
        )
        tables.write(
            beside / "thoughts.parquet",
            tables.THOUGHTS,
            (
                {
                    "policy_id": policy_id,
                    "problem_id": problem.problem_id,
                    "sample_index": index,
                    "thinking_tokens": trace.tokens[: trace.num_thinking_tokens],
                }
                for (problem, index), trace in zip(work, traces, strict=True)
            ),
        )


def _cut_request(request: Request, trace: Trace, budget: int, answering: Answering) -> Request:
    prefix = [*request.prompt_tokens, *trace.tokens[:budget], *answering.cue_tokens]
    return Request(prefix, answering.answer_tokens, derive_seed("forced", request.seed, budget))


def _answer(trace: Trace, forced: Completion | None, num_cue_tokens: int) -> list[int]:
    """Tokens after the cue: forced at the budget, else the trace's own."""
    return forced.tokens if forced else trace.tokens[trace.num_thinking_tokens + num_cue_tokens :]


def _is_answered(trace: Trace, budget: int, longest: int) -> bool:
    """Whether the trace's own answer stands at this budget: it stopped thinking by then, or was forced just there."""
    return budget == longest or (trace.num_thinking_tokens <= budget and not trace.is_cut)


if __name__ == "__main__":
    command(main)

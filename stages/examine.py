"""Examine a policy: what it answers at every temperature and budget, on problems not trained on.

Reads   policy, problems, the format of their text; params.yaml `compute.inference`, `exam`.
Writes  answers, one row per (problem, temperature, sample, budget); thoughts, one row per (problem,
        temperature, sample). Judging them is the next stage's business.
Method  One long sample per problem, temperature and sample index. At each budget the stream is cut,
        and the answer forced where it has not ended, so one sample gives the whole curve; every
        policy gets the same problems and seeds, the same at each temperature. Held-out problems are
        asked; reserved ones, which choose the temperature, where there is a choice; and of the
        train split `num_seen` problems of each difficulty, drawn by the exam's seed: what a policy
        does better on those than on held-out ones it has memorised.

Example: python -m stages.examine --policy-id r0 --policy data/policies/r0 \
         --problems data/problems.parquet --text-format data/format.json \
         --answers data/exams/r0/answers.parquet --thoughts data/exams/r0/thoughts.parquet \
         --code data/code/examine.json
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from stages.contracts.format import read_format
from stages.contracts.params.base import read_section
from stages.contracts.params.compute.inference import Inference
from stages.contracts.params.exam import Exam
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import merge_rows
from stages.contracts.storage.writing import table_writer, write_table
from stages.contracts.tables.answers import ANSWERS
from stages.contracts.tables.thoughts import THOUGHTS
from stages.engines import shards
from stages.engines.device import exclusive_device
from stages.engines.inference import open_samplers
from stages.engines.pools.pool import Pool
from stages.engines.positions import max_positions, need_positions
from stages.engines.sampler import Request, Sampler
from stages.engines.turns import Answering, BudgetAnswer, Trace, answer_at_budgets
from stages.pure.seeds import derive_seed
from stages.running.errors import BadInput, command
from stages.running.publish import RunFacts, atomic
from stages.running.scratch import scratch
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem

ExamSample = tuple[Problem, int]
ANSWERS_FOLDER, THOUGHTS_FOLDER = "answers.parquet", "thoughts.parquet"
KEPT = {ANSWERS_FOLDER: ANSWERS, THOUGHTS_FOLDER: THOUGHTS}


def main(
    policy_id: str,
    policy: Path,
    problems: Path,
    text_format: Path,
    answers: Path,
    thoughts: Path,
    code: Path,
    params_file: Path = Path("params.yaml"),
    scratch_root: Path = Path("data/.scratch"),
) -> None:
    """Run one policy's exam."""
    settings: Exam = read_section(params_file, "exam", Exam)
    inference = read_section(params_file, "compute.inference", Inference)
    facts = RunFacts("examine")
    renderer = Renderer.of_policy(policy)
    answering = Answering(renderer.cue_tokens(read_format(text_format)), settings.answer_tokens)
    exam_problems = choose_problems(read_problems(problems), settings)
    longest = max(len(renderer.prompt_tokens(problem.prompt)) for problem in exam_problems)
    needed = (
        longest + settings.budgets_tokens[-1] + len(answering.cue_tokens) + settings.answer_tokens
    )
    need_positions(f"exams.{policy_id}", max_positions(policy), needed)
    work = [(problem, index) for problem in exam_problems for index in range(settings.num_samples)]

    with (
        exclusive_device("examine"),
        scratch(
            scratch_root, f"examine-{policy_id}", settings.model_dump(), [code, policy, problems]
        ) as unfinished,
        open_samplers(policy, inference) as samplers,
    ):
        with facts.phase("sampling"):
            kept = sit(policy_id, samplers, work, settings, answering, renderer, unfinished)
        with table_writer(thoughts, THOUGHTS) as to_thoughts:
            to_thoughts.add(merge_rows((shard / THOUGHTS_FOLDER for shard in kept), THOUGHTS))
        with table_writer(answers, ANSWERS) as to_answers:
            to_answers.add(merge_rows((shard / ANSWERS_FOLDER for shard in kept), ANSWERS))
    facts.count(num_answers=to_answers.num_rows)
    facts.write(answers)


def choose_problems(problems: Sequence[Problem], settings: Exam) -> list[Problem]:
    """The problems of an exam: held-out, reserved where temperatures are to choose from, seen."""
    splits = ["heldout", "reserved"] if len(settings.temperatures) > 1 else ["heldout"]
    return [
        *(problem for split in splits for problem in problems if problem.split == split),
        *draw_seen([problem for problem in problems if problem.split == "train"], settings),
    ]


def draw_seen(problems: Sequence[Problem], settings: Exam) -> list[Problem]:
    """`num_seen` problems of each difficulty, without replacement.

    Raises:
        BadInput: a difficulty has fewer problems than are to be asked.
    """
    drawn: list[Problem] = []
    for difficulty in sorted({problem.difficulty for problem in problems}):
        eligible = [problem for problem in problems if problem.difficulty == difficulty]
        if len(eligible) < settings.num_seen:
            raise BadInput(
                f"exam.num_seen asks for {settings.num_seen} problems of each difficulty, but "
                f"difficulty {difficulty} has {len(eligible)} in its train split; ask for fewer, "
                "or raise task.tiers num_train"
            )
        rng = np.random.default_rng(derive_seed("seen", settings.seed, difficulty))
        drawn += [
            eligible[index] for index in rng.choice(len(eligible), settings.num_seen, replace=False)
        ]
    return drawn


def sit(
    policy_id: str,
    samplers: Pool[Sampler],
    work: Sequence[ExamSample],
    settings: Exam,
    answering: Answering,
    renderer: Renderer,
    unfinished: Path,
) -> list[Path]:
    """Do the exam's work that is not yet in `unfinished`; the folders of all shards."""
    folders: list[Path] = []
    for temperature in settings.temperatures:
        at_temperature = unfinished / str(temperature)
        kept = shards.cut(work, settings.shard_rollouts, at_temperature)
        answer = partial(
            answer_at_budgets,
            budgets_tokens=settings.budgets_tokens,
            answering=answering,
            temperature=temperature,
        )
        ask = partial(_request, settings=settings, renderer=renderer)
        what = f"examine {policy_id} at temperature {temperature}"
        for shard, items, sat in shards.missing(kept, samplers, answer, ask, what, "sample", KEPT):
            keep(policy_id, temperature, items, sat, settings, renderer, shard)
        folders += kept
    return folders


def _request(item: ExamSample, settings: Exam, renderer: Renderer) -> Request:
    problem, index = item
    longest = max(1, *settings.budgets_tokens)
    return Request(
        renderer.prompt_tokens(problem.prompt),
        longest,
        derive_seed("exam", settings.seed, problem.problem_id, index),
    )


def keep(
    policy_id: str,
    temperature: float,
    work: Sequence[ExamSample],
    sat: Sequence[tuple[Trace, Sequence[BudgetAnswer]]],
    settings: Exam,
    renderer: Renderer,
    shard: Path,
) -> None:
    """Write what came of some of the exam's work to the folder `shard`."""
    with atomic(shard) as beside:
        write_table(
            beside / ANSWERS_FOLDER,
            ANSWERS,
            (
                {
                    "policy_id": policy_id,
                    "problem_id": problem.problem_id,
                    "temperature": temperature,
                    "sample_index": index,
                    "budget_tokens": budget,
                    "used_tokens": min(budget, trace.num_sampled_thinking_tokens),
                    "is_forced": answer.is_forced,
                    "answer": renderer.decode(answer.tokens),
                }
                for (problem, index), (trace, answers) in zip(work, sat, strict=True)
                for budget, answer in zip(settings.budgets_tokens, answers, strict=True)
            ),
        )
        write_table(
            beside / THOUGHTS_FOLDER,
            THOUGHTS,
            (
                {
                    "policy_id": policy_id,
                    "problem_id": problem.problem_id,
                    "temperature": temperature,
                    "sample_index": index,
                    "thinking_tokens": thinking,
                    "thinking_text": renderer.text(thinking),
                }
                for (problem, index), (trace, _) in zip(work, sat, strict=True)
                for thinking in [trace.tokens[: trace.num_thinking_tokens]]
            ),
        )


if __name__ == "__main__":
    command(main, writes=("answers", "thoughts"))

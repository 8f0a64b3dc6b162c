"""Ask a policy one question, and show its stream with what each segment was worth.

Reads   the policy, problems, format; params.yaml `task`, `compute.inference`.
Writes  nothing; prints the stream as JSON.
Method  Sampled as rollouts are: thinking up to a budget, then an answer. Success J at a boundary is
        the probability of the answers known to be correct, if the policy were asked there
        (`stages.engines.likelihood`): of all that the task lists, else of the one known. Of a
        question that is in no table, and with no answer given, J is not known.

Example: python -m stages.ask --policy data/policies/i3 --problems data/problems.parquet \
         --text-format data/format.json --question "3 5 7 T36" --budget-tokens 72
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from stages.contracts.format import Format, read_format
from stages.contracts.origin import Origin
from stages.contracts.params.base import Count, read_section
from stages.contracts.params.compute.inference import Inference
from stages.contracts.params.exam import Exam
from stages.contracts.params.task import CountdownTask, TaskParams
from stages.contracts.render import BOS, Renderer
from stages.contracts.token_text import token_texts
from stages.engines.device import exclusive_device
from stages.engines.inference import open_samplers
from stages.engines.positions import max_positions, need_positions
from stages.engines.sampler import Request
from stages.engines.turns import Answering, Trace, think_then_answer
from stages.pure.segments import marker_boundaries
from stages.running.errors import BadInput, command
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems
from stages.tasks.sources import load_source
from stages.tasks.task import Problem
from stages.verifiers import isolated
from stages.verifiers.isolated import Submission

MICRO_BATCH_TOKENS = 16384
COUNTDOWN = re.compile(r"(?:<bos> )?(\d+(?: \d+)+) T(\d+)(?: :)?")


@dataclass(frozen=True)
class Stream:
    """What was asked and answered. `success` is J at each boundary, null where it is not known."""

    prompt: str
    segments: list[str]
    success: list[float | None]
    """At the first boundary, before any thinking, and behind each segment."""
    answer: str
    verdict: str | None
    """Of the task's verifier; null where it knows nothing of the question."""
    num_known_answers: int
    finish_reason: str


def main(
    policy: Path,
    problems: Path,
    text_format: Path,
    question: str,
    budget_tokens: int | None = None,
    temperature: float = 0.6,
    seed: int = 0,
    answer: str | None = None,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Print one stream as JSON. Without a budget it has that of training, and an exam's answer."""
    exam: Exam = read_section(params_file, "exam", Exam)
    if budget_tokens is None:
        budget_tokens = read_section(params_file, "report.training_budget_tokens", Count)
    task: TaskParams = read_section(params_file, "task", TaskParams)
    inference = read_section(params_file, "compute.inference", Inference)
    renderer, form = Renderer.of_policy(policy), read_format(text_format)
    asked = find_problem(task, read_problems(problems), question)
    prompt = asked.prompt if asked else as_prompt(task, question)
    prompt_tokens = renderer.prompt_tokens(prompt)
    need_known_words(task, renderer, prompt, prompt_tokens)
    answering = Answering(renderer.cue_tokens(form), exam.answer_tokens)
    needed = len(prompt_tokens) + budget_tokens + len(answering.cue_tokens) + exam.answer_tokens
    need_positions(str(policy), max_positions(policy), needed)
    known = [answer] if answer is not None else known_answers(task, asked)

    trace = sample(
        policy, inference, Request(prompt_tokens, budget_tokens, seed), answering, temperature
    )
    cuts = cut(trace, form, renderer)
    tokens = [*prompt_tokens, *trace.tokens[: trace.num_thinking_tokens]]
    places = [len(prompt_tokens) + boundary for boundary in cuts]
    said = renderer.decode(trace.answer_tokens)
    stream = Stream(
        prompt=renderer.text(prompt_tokens),
        segments=[renderer.decode(trace.tokens[a:b]) for a, b in pairwise(cuts)],
        success=success_at(policy, renderer, tokens, places, answering, known, temperature),
        answer=said,
        verdict=verdict(task, asked, said) if asked else None,
        num_known_answers=len(known),
        finish_reason=trace.finish_reason,
    )
    print(json.dumps(asdict(stream)))


def sample(
    policy: Path, inference: Inference, request: Request, answering: Answering, temperature: float
) -> Trace:
    """One stream, by the sampler that rollouts come from."""
    think = partial(think_then_answer, answering=answering, temperature=temperature)
    with exclusive_device("ask"), open_samplers(policy, inference) as samplers:
        ((_, [trace]),) = samplers.each(think, [[request]], lambda tokens: None)
    return trace


def as_prompt(task: TaskParams, question: str) -> str:
    """The question as a policy reads it."""
    words = " ".join(question.split())
    if not words:
        raise BadInput("the question is empty")
    if load_format(task).prompting is not None:
        return question.strip()
    return words if words.startswith(BOS) else f"{BOS} {words.removesuffix(' :')} :"


def find_problem(task: TaskParams, problems: Sequence[Problem], question: str) -> Problem | None:
    """The problem of a question: one of the table, or any of Countdown; None for another."""
    prompt = as_prompt(task, question)
    for problem in problems:
        if problem.prompt == prompt:
            return problem
    found = COUNTDOWN.fullmatch(prompt)
    if not isinstance(task, CountdownTask) or not found:
        return None
    numbers, target = [int(number) for number in found[1].split()], int(found[2])
    metadata = {"numbers": numbers, "target": target}
    return Problem("asked", "asked", len(numbers), prompt, "", metadata, 0)


def need_known_words(
    task: TaskParams, renderer: Renderer, prompt: str, tokens: Sequence[int]
) -> None:
    """Refuse a question with words that the policy has no token for.

    Raises:
        BadInput: names the first, and how questions look.
    """
    if load_format(task).prompting is not None:
        return  # bytes: any text comes back
    read = renderer.text(tokens).split()
    lost = [word for word, back in zip(prompt.split(), read, strict=False) if word != back]
    if lost or len(read) != len(prompt.split()):
        raise BadInput(
            f"the policy has no word {(lost or ['for a part of it'])[0]!r}; ask as the task's "
            "problems do: `knowhow tables data/problems.parquet --columns prompt` shows some"
        )


def known_answers(task: TaskParams, problem: Problem | None) -> list[str]:
    """Every correct answer that the task can list, else the one it came with."""
    if problem is None:
        return []
    listed = load_source(task).solutions(problem) if task.lists_solutions else []
    return listed or [problem.answer] * bool(problem.answer)


def cut(trace: Trace, form: Format, renderer: Renderer) -> list[int]:
    """Where its thinking is cut: behind the task's own markers."""
    thinking = trace.tokens[: trace.num_thinking_tokens]
    is_sampled = np.array(trace.origin[: len(thinking)], dtype=np.int8) == Origin.SAMPLED
    return marker_boundaries(token_texts(renderer, thinking), form.segment_ends, is_sampled)


def success_at(
    policy: Path,
    renderer: Renderer,
    tokens: list[int],
    boundaries: list[int],
    answering: Answering,
    known: Sequence[str],
    temperature: float,
) -> list[float | None]:
    """J at each boundary, a position in `tokens`; None where no answer is known."""
    if not known:
        return [None] * len(boundaries)
    from stages.engines.likelihood import ProbedPrefix, answer_logprobs, open_model

    answers = [
        [*answering.cue_tokens, *renderer.encode(text), renderer.eos_token] for text in known
    ]
    probed = ProbedPrefix(tokens, boundaries, answers, len(answering.cue_tokens))
    (logprobs,) = answer_logprobs(
        open_model(policy),
        [probed],
        micro_batch_tokens=MICRO_BATCH_TOKENS,
        pad_token=renderer.pad_token,
        precision="float32",
        on_tokens=lambda tokens: None,
        temperature=temperature,
    )
    return [float(value) for value in np.exp(np.logaddexp.reduce(logprobs, axis=1))]


def verdict(task: TaskParams, problem: Problem, said: str) -> str:
    """What the task's verifier says of the answer."""
    (found,) = isolated.verify(task, [Submission(problem, said, is_attempt=False)])
    return str(found)


if __name__ == "__main__":
    command(main)

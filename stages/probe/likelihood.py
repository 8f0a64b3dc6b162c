"""Estimators by the likelihood of answers known to be correct: of all of them, or of one."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from stages.contracts.params.recipes.probe import AnswerLikelihood, SetLikelihood
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.solutions import SOLUTIONS
from stages.engines.inference import open_pool
from stages.probe.inputs import ProbeInputs, Row, advancing, probe_row
from stages.running.errors import BadInput

Answers = Mapping[str, Sequence[str]]
"""By the name of the problem."""


def probe_set(inputs: ProbeInputs, settings: SetLikelihood) -> list[Row]:
    """Probability of every correct answer at every boundary; success there is their sum.

    Raises:
        BadInput: the task lists no answers of a problem.
    """
    return probe_known(inputs, every_answer(inputs.solutions), settings)


def probe_answer(inputs: ProbeInputs, settings: AnswerLikelihood) -> list[Row]:
    """Probability of the one known answer at every boundary."""
    return probe_known(inputs, one_answer(inputs.problems), settings)


def every_answer(solutions: Path) -> Answers:
    """All that the task lists."""
    answers: dict[str, list[str]] = {}
    for row in read_table(solutions, SOLUTIONS).to_pylist():
        answers.setdefault(row["problem_id"], []).append(row["solution"])
    return answers


def one_answer(problems: Path) -> Answers:
    """The answer that each problem came with."""
    rows = read_table(problems, PROBLEMS, ["problem_id", "answer"]).to_pylist()
    return {row["problem_id"]: [row["answer"]] for row in rows}


def probe_known(
    inputs: ProbeInputs, answers: Answers, settings: SetLikelihood | AnswerLikelihood
) -> list[Row]:
    """The rows of estimators that know the answers.

    Raises:
        BadInput: the answers of a problem are not known.
    """
    need_answers({rollout.problem_id for rollout in inputs.rollouts}, answers, settings.estimator)
    rows, read = [], read_logprobs(inputs, answers, settings)
    for rollout, logprobs in zip(inputs.rollouts, read, strict=True):
        of_problem = answers[rollout.problem_id]
        for index, values in enumerate(logprobs.tolist()):
            rows.append(probe_row(rollout, index, settings, of_problem, values))
    return rows


def need_answers(asked: set[str], answers: Answers, estimator: str) -> None:
    """Refuse problems without a known answer.

    Raises:
        BadInput: counts them, and names the first.
    """
    unknown = sorted(asked - answers.keys())
    if unknown:
        raise BadInput(
            f"estimator {estimator} needs the correct answers, and the task lists none for "
            f"{len(unknown)} of the {len(asked)} problems asked, first {unknown[0]}; give the "
            "task's class a method solutions, or set the recipe's probe.estimator to forced_answer"
        )


def read_logprobs(
    inputs: ProbeInputs, answers: Answers, settings: SetLikelihood | AnswerLikelihood
) -> list[Float[np.ndarray, "_ _"]]:
    """Log-probability of every known answer, nats, [boundary, answer] for each rollout.

    Of several processes each has the whole policy and takes its share of the micro-batches.
    """
    from stages.engines.likelihood import ProbedPrefix, answer_logprobs, open_model
    from stages.engines.training import ranks
    from stages.pure.packing import micro_batches

    renderer, compute = inputs.renderer, inputs.compute
    probed = [
        ProbedPrefix(
            prefix_tokens=rollout.tokens,
            boundaries=rollout.positions,
            answers=[
                [*inputs.cue, *renderer.encode(text), renderer.eos_token]
                for text in answers[rollout.problem_id]
            ],
            num_cue_tokens=len(inputs.cue),
        )
        for rollout in inputs.rollouts
    ]
    read = partial(
        answer_logprobs,
        micro_batch_tokens=settings.micro_batch_tokens,
        pad_token=renderer.pad_token,
        precision=compute.training.precision,
        temperature=settings.temperature,
    )
    lengths = [prefix.num_tokens for prefix in probed]
    batches = micro_batches(lengths, settings.micro_batch_tokens)
    logprobs: dict[int, np.ndarray] = {}
    with ranks.processes("probe", compute.num_probe_processes):
        batch_tokens = [sum(lengths[row] for row in rows) for rows in batches]
        own = [batch for batch, counts in ranks.own_work(batch_tokens) if counts]
        items = ([probed[row] for row in batches[batch]] for batch in own)
        own_tokens = sum(batch_tokens[batch] for batch in own)
        with (
            open_pool(open_model, inputs.policy, compute.inference.where) as models,
            advancing(inputs.facts, "tok", own_tokens) as advance,
        ):
            for place, values in models.each(read, items, lambda tokens: advance(tokens, tokens)):
                logprobs.update(zip(batches[own[place]], values, strict=True))
        everywhere = ranks.gathered(logprobs)
        ranks.exit_unless_first()
    inputs.facts.count(num_tokens=sum(lengths))
    return [everywhere[row] for row in range(len(probed))]

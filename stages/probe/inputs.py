"""What every estimator starts from, and the rows that it leaves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stages.contracts.params.compute.compute import Compute
from stages.contracts.params.recipes.probe import Probe
from stages.contracts.render import Renderer
from stages.running.progress import ProgressBar
from stages.running.publish import RunFacts

Row = dict[str, Any]


class ProbedRollout(NamedTuple):
    """A rollout up to the end of its thinking, and its boundaries in order."""

    rollout_id: str
    problem_id: str
    seed: int
    num_prompt_tokens: int
    tokens: list[int]
    """Prompt and thinking."""
    boundaries: list[int]
    """Completion tokens before each."""
    sampled_tokens: list[int]
    """Of these, those that the policy sampled."""
    has_answer: bool
    """Whether an answer follows the thinking."""

    @property
    def positions(self) -> list[int]:
        """The boundaries as positions in `tokens`."""
        return [self.num_prompt_tokens + boundary for boundary in self.boundaries]


class ProbeInputs(NamedTuple):
    """A round to probe; `scores`, `problems` and `solutions` are tables that not all need."""

    policy: Path
    rollouts: list[ProbedRollout]
    cue: list[int]
    budget_tokens: int
    """Thinking tokens that a rollout may sample."""
    renderer: Renderer
    compute: Compute
    seed: int
    scores: Path
    problems: Path
    solutions: Path
    facts: RunFacts


@contextmanager
def advancing(facts: RunFacts, unit: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Time the block as `probing` and count its tokens.

    What it yields is called with units done and tokens gone through.
    """
    num_tokens = 0
    with facts.phase("probing"), ProgressBar("probe", total, unit) as progress:

        def advance(amount: int, tokens: int) -> None:
            nonlocal num_tokens
            num_tokens += tokens
            progress.add(amount)
            progress.tokens(tokens)

        yield advance
    facts.count(num_tokens=num_tokens)


def probe_row(
    rollout: ProbedRollout,
    index: int,
    settings: Probe,
    answers: Sequence[str] = (),
    logprobs: Sequence[float] = (),
    value: float | None = None,
) -> Row:
    """What was found at one boundary, as a row of the table."""
    is_known = settings.success_from == "known_answers"
    return {
        "rollout_id": rollout.rollout_id,
        "boundary_index": index,
        "position": rollout.boundaries[index],
        "estimator": settings.estimator,
        "num_probes": len(answers),
        "answers": list(answers),
        "answer_logprobs": list(logprobs),
        "gold_logprob_nats": float(np.logaddexp.reduce(logprobs)) if is_known else None,
        "value": value,
    }

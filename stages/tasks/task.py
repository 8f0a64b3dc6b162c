"""What a task is: its problems, and where they and their demonstrations come from.

How its text is marked (`stages.tasks.marks`) and tokenized (`stages.tasks.task_format`) is apart,
and so is who judges an answer (`stages.verifiers`): a change to one leaves the steps alone that use
another.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Problem:
    """A question with a reference answer.

    `metadata` is what the verifier needs to judge any other answer.
    """

    problem_id: str
    split: str
    difficulty: int
    prompt: str
    answer: str
    metadata: Mapping[str, Any]
    seed: int


@dataclass(frozen=True)
class StrategySettings:
    """One completion to imitate. `num_segments` counts its attempts; the answer is not counted."""

    problem_id: str
    strategy: str
    text: str
    is_correct: bool
    num_segments: int


@runtime_checkable
class Source(Protocol):
    """Where problems, demonstrations and solution sets come from."""

    def problems(self) -> Iterator[Problem]:
        """All problems of both splits, none of one a rewriting of one of the other."""
        ...

    def demonstrations(
        self, problems: Sequence[Problem], settings: Any, seed: int
    ) -> Iterator[StrategySettings]:
        """As many demonstrations as `settings` asks for, on the given problems only."""
        ...

    def solutions(self, problem: Problem) -> list[str]:
        """Every correct answer in canonical form; none where the task cannot list them."""
        ...

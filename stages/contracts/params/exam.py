"""What params.yaml says of exams: `exam`, `exams`."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from stages.contracts.params.base import Count, Name, Positive, Section, Seed


def _distinct(temperatures: list[float]) -> list[float]:
    if len(set(temperatures)) < len(temperatures):
        raise ValueError(f"each temperature may stand once, not {temperatures}")
    return temperatures


Temperatures = Annotated[list[Positive], Field(min_length=1), AfterValidator(_distinct)]
"""Sampling temperatures of every exam. A policy's own best one is chosen on the reserved problems;
without these it is the first.
"""


class Exam(Section):
    """The held-out exam, the same for every policy: one long sample gives the budget curve."""

    seed: Seed
    num_samples: Count
    budgets_tokens: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    answer_tokens: Count
    temperatures: Temperatures
    shard_rollouts: Count
    num_seen: Annotated[int, Field(ge=0)]
    """Problems of the train split asked beside the held-out ones, of each difficulty, to measure
    memorisation.
    """

    @model_validator(mode="after")
    def _budgets_rise(self) -> "Exam":
        if sorted(set(self.budgets_tokens)) != self.budgets_tokens:
            raise ValueError(f"budgets_tokens must rise strictly, not {self.budgets_tokens}")
        return self


class ExamEntry(Section):
    """An exam that one policy sits.

    `judge` chooses among its samples in best-of-n: `exact`, or a judge of `judges`.
    """

    judge: Name

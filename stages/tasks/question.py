"""A question from outside, as the user's file or class puts it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Question:
    """What one problem from outside asks.

    `solution` is worked reasoning that leads to the answer.
    """

    question: str
    answer: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    solution: str | None = None

    def __post_init__(self) -> None:
        for name in ("question", "answer"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"a Question's {name} must be text, not {getattr(self, name)!r}")


def question_of(metadata: Mapping[str, Any]) -> Question:
    """The question that a problem was made of."""
    return Question(**metadata)

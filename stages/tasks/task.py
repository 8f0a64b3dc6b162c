"""What a task is: where its problems and demonstrations come from, and how its text is written and
cut.

The two sides are apart so that a change to a generator leaves sampling alone, and a change to a
verifier (`stages.verifiers`) leaves both.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tokenizers import Tokenizer

from stages.contracts.render import Prompting


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
class Demonstration:
    """One completion to imitate. `num_segments` counts its attempts; the answer is not counted."""

    problem_id: str
    strategy: str
    text: str
    is_correct: bool
    num_segments: int


class Format(Protocol):
    """How a task's text is written: thinking segments, then `cue`, then the answer.

    `thinking_end` is the one token that the cue begins with. `prompting` says how a text task's
    questions are put; a task without it writes its prompts in full. A segment ends after any of
    `segment_ends`. `self_verdicts` says what a policy claims of its own attempt when it closes a
    segment with that marker; empty where the text makes no claim. `judge_words` are what a
    generative judge says behind an answer that is right, and behind one that is wrong.
    `token_values` gives the numbers that words stand for, so that their embeddings start out
    ordered; empty where words are opaque.
    """

    thinking_end: str
    cue: str
    segment_ends: Sequence[str]
    self_verdicts: Mapping[str, bool]
    prompting: Prompting | None
    judge_words: tuple[str, str]
    token_values: Mapping[str, float]

    def tokenizer(self, texts: Iterable[str]) -> Tokenizer:
        """A tokenizer for this text; `texts` is what it may be trained on."""
        ...


class Source(Protocol):
    """Where problems, demonstrations and solution sets come from."""

    def problems(self) -> Iterator[Problem]:
        """All problems of both splits; no problem of one split is a rewriting of one of the other."""
        ...

    def demonstrations(
        self, problems: Sequence[Problem], settings: Any, seed: int
    ) -> Iterator[Demonstration]:
        """As many demonstrations as `settings` asks for, on the given problems only."""
        ...

    def solutions(self, problem: Problem) -> list[str]:
        """Every correct answer in the task's canonical form; none where the task cannot list them."""
        ...


def closing_marker(text: str, segment_ends: Sequence[str]) -> str | None:
    """The marker a segment's text ends with; of several the longest, of none None."""
    return max((marker for marker in segment_ends if text.endswith(marker)), key=len, default=None)


def without_marker(text: str, segment_ends: Sequence[str]) -> str:
    """A segment's text without the marker that closes it."""
    return text.removesuffix(closing_marker(text, segment_ends) or "")

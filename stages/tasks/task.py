"""What a task is: where its problems and demonstrations come from, and how its text is written and
cut.

The two sides are apart so that a change to a generator leaves sampling alone, and a change to a
verifier (`stages.verifiers`) leaves both.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tokenizers import Tokenizer

from stages.contracts.format import Format
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


class TaskFormat(Protocol):
    """How a task's text is written: its marks (`stages.contracts.format`), prompts and tokens.

    `prompting` says how a text task's questions are put; a task without it writes its prompts in
    full. `token_values` gives the numbers that words stand for, so that their embeddings start out
    ordered; empty where words are opaque.
    """

    thinking_end: str
    cue: str
    segment_ends: Sequence[str]
    self_verdicts: Mapping[str, bool]
    judge_words: tuple[str, str]
    prompting: Prompting | None
    token_values: Mapping[str, float]

    def tokenizer(self, texts: Iterable[str]) -> Tokenizer:
        """A tokenizer for this text; `texts` is what it may be trained on."""
        ...


def marks_of(form: TaskFormat) -> Format:
    """The marks of a task's text, apart from how they are made."""
    return Format(
        thinking_end=form.thinking_end,
        cue=form.cue,
        segment_ends=tuple(form.segment_ends),
        self_verdicts=dict(form.self_verdicts),
        judge_words=form.judge_words,
    )


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

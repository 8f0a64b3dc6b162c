"""Problems from outside become problems of ours, or are refused.

They are refused by kind, with counts and places, never silently.
"""

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stages.contracts.params.task import DatasetTask, UserTask
from stages.running.errors import BadInput
from stages.tasks.marks import SPECIAL, text_marks
from stages.tasks.question import Question
from stages.tasks.splits import split_of
from stages.tasks.task import Problem

ID_DIGITS = 16
MAX_PLACES = 5
REPLACEMENT = "\ufffd"

Accepts = Callable[[Sequence[Problem]], Sequence[str]]
"""The verdict of the task's own verifier on the reference answer of each problem; stage `prepare`
has it.
"""


class Refusals:
    """What is wrong with what is imported: places by kind."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, kind: str, place: str) -> None:
        """Refuse what stands at `place`."""
        self._places.setdefault(kind, []).append(place)

    def stop(self, where: str, advice: str) -> None:
        """End here if anything was refused.

        Raises:
            BadInput: lists every kind with its count and first places.
        """
        if not self._places:
            return
        num_refused = sum(map(len, self._places.values()))
        lines = [f"{where}: {num_refused} refused, so nothing is imported; {advice}"]
        for kind, places in self._places.items():
            more = f" and {len(places) - MAX_PLACES} more" if len(places) > MAX_PLACES else ""
            lines.append(f"  {len(places)} {kind}: {', '.join(places[:MAX_PLACES])}{more}")
        raise BadInput("\n".join(lines))


class Intake:
    """Looks at questions one by one, and makes problems of those that nothing is wrong with."""

    def __init__(self, params: DatasetTask | UserTask, refusals: Refusals) -> None:
        self._params = params
        self._refusals = refusals
        self._markers = (*SPECIAL, text_marks(params.text).thinking_end)

    def problem(
        self, question: Question, difficulty: int, number: int, place: str
    ) -> Problem | None:
        """The problem of a question; None for one refused."""
        faults = list(self._faults(question))
        for fault in faults:
            self._refusals.add(fault, place)
        if faults:
            return None
        text = canonical(question.question)
        return Problem(
            problem_id=f"{self._params.name}:{hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]}",
            split=split_of(text, self._params.heldout_bucket),
            difficulty=difficulty,
            prompt=question.question,
            answer=question.answer,
            metadata=asdict(question),
            seed=number,
        )

    def verify(self, problems: Sequence[Problem], places: Sequence[str], accepts: Accepts) -> None:
        """Refuse problems whose reference answer the task's own verifier does not call correct."""
        for place, verdict in zip(places, accepts(problems), strict=True):
            if verdict != "correct":
                self._refusals.add(
                    "with an answer that its own verifier does not accept", f"{place} ({verdict})"
                )

    def _faults(self, question: Question) -> Iterator[str]:
        texts = [question.question, question.answer, question.solution or ""]
        if not canonical(question.question):
            yield "with an empty question"
        if not canonical(question.answer):
            yield "with an empty answer"
        if not all(map(is_clean, texts)):
            yield "with text in a broken encoding (NUL, U+FFFD or half a surrogate pair)"
        control = next((sign for text in texts for sign in text if _is_control(sign)), None)
        if control is not None:
            yield f"with control character U+{ord(control):04X} in its text (JSON reads \\f so)"
        if not comes_back(question.metadata):
            yield "with metadata that JSON does not give back as it was"
        for marker in self._markers:
            if any(marker in text for text in texts):
                yield f"with {marker!r} in its text, which stands for a token"
        if len(question.question) > self._params.max_question_characters:
            yield f"with a question of more than {self._params.max_question_characters} characters"


def canonical(question: str) -> str:
    """Equal for questions that look alike.

    They may differ in spaces, capitals, how Unicode composes a letter, how wide it is, and signs
    that nobody sees. 3² is not 32.
    """
    seen = "".join(_as_seen(sign) for sign in question)
    return " ".join(unicodedata.normalize("NFC", seen).casefold().split())


def _as_seen(sign: str) -> str:
    if sign.isascii():
        return sign
    if unicodedata.category(sign) == "Cf":  # no width, a soft hyphen, a direction
        return ""
    is_wide = unicodedata.decomposition(sign).startswith(("<wide>", "<narrow>"))
    return unicodedata.normalize("NFKC", sign) if is_wide else sign


def _is_control(sign: str) -> bool:
    """Whether it is one that no text holds; NUL is told apart, as a fault of the encoding."""
    return unicodedata.category(sign) == "Cc" and sign not in "\t\n\r\0\x85"


def comes_back(metadata: Mapping[str, Any]) -> bool:
    """Whether metadata can be kept in a table for the verifier."""
    try:
        return bool(json.loads(json.dumps(metadata)) == metadata)
    except (TypeError, ValueError):
        return False


def is_clean(text: str) -> bool:
    """Whether a text holds no sign of having been decoded wrongly."""
    return (
        "\0" not in text
        and REPLACEMENT not in text
        and not any("\ud800" <= letter <= "\udfff" for letter in text)
    )

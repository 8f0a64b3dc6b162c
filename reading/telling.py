"""The views that tell most: where knowledge came and was lost, where a policy fooled itself."""

from typing import NamedTuple

from reading.views import View

FOOLED = (
    "self_verdict <> (attempt_verdict = 'correct') AND attempt_verdict NOT IN ('timeout', 'error')"
)


class Telling(NamedTuple):
    """A view worth opening first, in words."""

    title: str
    meaning: str
    unit: str
    where: str
    sort: str

    def view(self, source: str, limit: int) -> View:
        """The view of a source."""
        return View(source, unit=self.unit, where=self.where, sort=self.sort, limit=limit)


TELLING = {
    "rounds": (
        Telling(
            "Where knowledge came",
            "the segments with the largest gain: after them a forced answer is right more often",
            "segments",
            "progress > 0",
            "-progress",
        ),
        Telling(
            "Where it was lost",
            "the segments with the most negative gain",
            "segments",
            "progress < 0",
            "progress",
        ),
        Telling(
            "Where the policy fooled itself",
            "attempts that it calls right and the verifier wrong, or the other way round",
            "segments",
            FOOLED,
            "",
        ),
    ),
    "exams": (
        Telling(
            "Where the policy fooled itself",
            "answers with wrong attempts before them that it called right",
            "answers",
            "num_false_positives > 0",
            "-num_false_positives",
        ),
        Telling(
            "Where thinking was in vain",
            "wrong answers after the most thinking",
            "answers",
            "verdict <> 'correct'",
            "-used_tokens",
        ),
    ),
}
"""By kind of source, in the order in which they are shown."""

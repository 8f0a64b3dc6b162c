"""What a policy does while it thinks: segments that hit, repeat, or are misjudged by itself."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stages.contracts.format import Format, closing_marker, without_marker
from stages.contracts.verdict import Verdict
from stages.tasks.task import Problem
from stages.verifiers.isolated import Submission, VerifierWorkers


class Thought(NamedTuple):
    """One thinking segment.

    `claim` is the policy's own verdict; None without one, or without one of the verifier.
    """

    is_hit: bool
    is_repeat: bool
    claim: bool | None


def look(
    problems: Sequence[Problem],
    texts: Sequence[Sequence[str]],
    form: Format,
    verifiers: VerifierWorkers,
) -> list[list[Thought]]:
    """The thoughts of each sample, from the problem it was asked and the texts of its segments."""
    submissions = []
    for problem, said in zip(problems, texts, strict=True):
        for text in said:
            attempt = without_marker(text, form.segment_ends)
            submissions.append(Submission(problem, attempt, is_attempt=True))
    verdicts = (
        verification and verification.verdict for verification in verifiers.verify(submissions)
    )
    return [
        [_thought(said[:index], text, next(verdicts), form) for index, text in enumerate(said)]
        for said in texts
    ]


def count(thoughts: Sequence[Thought]) -> Mapping[str, int]:
    """The columns of grades that are about thinking."""
    hit_claims = [
        thought.claim for thought in thoughts if thought.is_hit and thought.claim is not None
    ]
    miss_claims = [
        thought.claim for thought in thoughts if not thought.is_hit and thought.claim is not None
    ]
    return {
        "num_segments": len(thoughts),
        "num_repeats": sum(thought.is_repeat for thought in thoughts),
        "num_hits": sum(thought.is_hit for thought in thoughts),
        "num_judged_hits": len(hit_claims),
        "num_judged_misses": len(miss_claims),
        "num_false_negatives": hit_claims.count(False),
        "num_false_positives": miss_claims.count(True),
    }


def _thought(earlier: Sequence[str], text: str, verdict: Verdict | None, form: Format) -> Thought:
    marker = closing_marker(text, form.segment_ends)
    is_judged = marker is not None and verdict is not None and verdict.reward is not None
    claim = form.self_verdicts.get(marker) if marker and is_judged else None
    return Thought(verdict is Verdict.CORRECT, text in earlier, claim)

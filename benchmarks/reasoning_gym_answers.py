"""Which families of reasoning-gym pay for wrong answers: by their own scorer, and as verified here.

Reads   nothing: a few problems of every family, drawn on the spot.
Writes  a line a family on stdout; with --out the figures as JSON.
Method  Each reference answer is changed as `stages.verifiers.perturbing` says: a sign flipped,
        another problem's answer put behind, words added, nothing left. `by_scorer` counts those
        that the family's own scorer gives full score, `by_verifier` those that are correct here.
        `truncated` and `another digit` are left to the tolerance that a family states, and so not
        asked. A family runs in a process that is killed at its limit.
Claim   no wrong answer is correct here; families that pay by themselves are in
        `stages.tasks.families.MISLED_FAMILIES`.

Example: python -m benchmarks.reasoning_gym_answers --out docs/results/reasoning_gym_answers.json
"""

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from stages.contracts.params.task import ReasoningGymTask, ReasoningGymTier, TrainedText
from stages.contracts.verdict import Verdict
from stages.running.errors import command
from stages.running.publish import write_json
from stages.tasks.families import MIXTURE
from stages.tasks.reasoning_gym import ReasoningGym
from stages.tasks.task import Problem
from stages.verifiers.perturbing import wrong_answers
from stages.verifiers.reasoning_gym import ReasoningGymVerifier

NUM_PROBLEMS, MAX_DRAWS = 6, 30
LIMIT_SECONDS = 60.0
NOT_ASKED = ("truncated", "another digit", "swapped digits")


def families() -> list[str]:
    """All families but the mixture."""
    from reasoning_gym.factory import DATASETS

    return sorted(DATASETS.keys() - {MIXTURE})


def measured(family: str) -> dict[str, Any]:
    """How many wrong answers of each kind a family pays, by its scorer and as verified here."""
    tier = ReasoningGymTier(
        difficulty=0, num_train=NUM_PROBLEMS, num_heldout=1, num_reserved=0, config={}
    )
    text = TrainedText(kind="trained", vocabulary_size=320)
    task = ReasoningGymTask(name="reasoning_gym", family=family, seed=3, text=text, tiers=[tier])
    draws = zip(range(MAX_DRAWS), ReasoningGym(task)._draws(tier), strict=False)
    problems = [problem for _, problem in draws if problem][:NUM_PROBLEMS]
    verifier, bare = ReasoningGymVerifier(task), ReasoningGymVerifier(task)
    bare._condition = lambda answer, entry: True
    counts = {"by_scorer": Counter[str](), "by_verifier": Counter[str]()}
    for kind, answer, metadata in _wrong(problems):
        for way, judge in (("by_scorer", bare), ("by_verifier", verifier)):
            counts[way][kind] += judge.verify(metadata, answer) is Verdict.CORRECT
    return {
        "num_problems": len(problems),
        **{way: {kind: n for kind, n in found.items() if n} for way, found in counts.items()},
    }


def _wrong(problems: Sequence[Problem]) -> list[tuple[str, str, Any]]:
    wrong = []
    for problem in problems:
        others = [one.answer for one in problems if one.answer != problem.answer]
        made = wrong_answers(problem.answer, others[0] if others else None)
        wrong += [
            (kind, answer, problem.metadata)
            for kind, answer in made.items()
            if kind not in NOT_ASKED
        ]
    return wrong


def isolated(family: str, limit_seconds: float = LIMIT_SECONDS) -> dict[str, Any]:
    """`measured` in a process that is killed at its limit; then nothing is known."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(family, theirs))
    process.start()
    theirs.close()
    try:
        if ours.poll(limit_seconds):
            return dict(ours.recv())
    except EOFError:
        pass
    finally:
        process.kill()
        process.join()
    return {"num_problems": 0, "by_scorer": {}, "by_verifier": {}}


def _measure(family: str, connection: Connection) -> None:
    connection.send(measured(family))


def main(out: Path | None = None) -> None:
    """Measure all families.

    Args:
        out: Where to write the figures.
    """
    figures = {}
    for family in families():
        figures[family] = isolated(family)
        print(family, figures[family], flush=True)
    if out:
        write_json(out, figures)


if __name__ == "__main__":
    command(main)

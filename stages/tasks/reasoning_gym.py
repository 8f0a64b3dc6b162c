"""Problems of any reasoning-gym family, each with the reference answer as its demonstration.

See `stages.tasks.marks` for how they are written.
"""

import hashlib
import itertools
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from stages.contracts.params.inits.demonstrations import DirectDemonstrations
from stages.contracts.params.task import ReasoningGymTask, ReasoningGymTier
from stages.running.errors import BadInput
from stages.tasks.families import (
    CORRECT_SCORE,
    is_readable,
    load_dataset,
    pack,
    reference_answer,
    unpack,
)
from stages.tasks.marks import SPECIAL, text_marks
from stages.tasks.splits import RESERVED, counts_text, sizes
from stages.tasks.strategies import direct_demonstration, draw_problems
from stages.tasks.task import Problem, StrategySettings

NUM_BUCKETS = 10
MAX_BARREN_DRAWS = 500
ID_DIGITS = 16
HASH_ORDERED = (
    "isomorphic_strings",
    "knight_swap",
    "polynomial_multiplication",
    "ransom_note",
    "word_ladder",
)
"""Families of reasoning-gym 0.1.25 whose entries differ with Python's hash seed: two runs of all
were compared.
"""


class ReasoningGym:
    """The source of one family's problems; see `stages.tasks.task.Source`."""

    def __init__(self, params: ReasoningGymTask) -> None:
        self.params = params
        self.marks = text_marks(params.text)

    def problems(self) -> Iterator[Problem]:
        """Entries per tier, each question at most once.

        Which split a question is in depends on its text alone.

        Raises:
            BadInput: the family, a key or a value is wrong, or a tier has too few distinct
                questions; tells it of every tier.
        """
        if self.params.family in HASH_ORDERED and sys.flags.hash_randomization:
            raise BadInput(
                f"params.yaml task.family: {self.params.family} draws other problems at every "
                "start of Python; run with PYTHONHASHSEED=0 in the environment"
            )
        seen: set[str] = set()
        refused: list[str] = []
        for tier in self.params.tiers:
            try:
                yield from self._of_tier(tier, seen)
            except BadInput as error:
                refused.append(str(error))
        if refused:
            raise BadInput("\n".join(dict.fromkeys(refused)))

    def demonstrations(
        self, problems: Sequence[Problem], settings: DirectDemonstrations, seed: int
    ) -> Iterator[StrategySettings]:
        """Reference answers at once, in a drawn order."""
        rng = random.Random(f"{seed}/demonstrations")
        for problem in draw_problems(problems, settings, rng):
            yield direct_demonstration(problem, self.marks.cue)

    def solutions(self, problem: Problem) -> list[str]:
        """None: a family has no list of correct answers."""
        del problem
        return []

    def _of_tier(self, tier: ReasoningGymTier, seen: set[str]) -> Iterator[Problem]:
        """The tier's problems that no earlier one has, which `seen` remembers by their ids."""
        wanted = sizes(tier)
        barren_draws = 0
        for problem in self._draws(tier):
            if problem and problem.problem_id not in seen and wanted[problem.split]:
                seen.add(problem.problem_id)
                wanted[problem.split] -= 1
                barren_draws = 0
                yield problem
            else:
                barren_draws += 1
            if not any(wanted.values()) or barren_draws == MAX_BARREN_DRAWS:
                break
        if any(wanted.values()):
            self._too_few(tier, wanted)

    def _draws(self, tier: ReasoningGymTier) -> Iterator[Problem | None]:
        """Entry 0, 1, … as problems; None for one that cannot be used.

        Ends where the family's entries end.
        """
        rarest = max(tier.num_heldout, tier.num_reserved)
        size = 2 * (tier.num_train + NUM_BUCKETS * rarest)
        dataset = load_dataset(self.params, tier, size=size)
        for index in itertools.count():
            try:
                entry = dataset[index]
            except IndexError:
                return
            yield self._problem(dataset, tier, entry, index)

    def _problem(
        self, dataset: Any, tier: ReasoningGymTier, entry: Mapping[str, Any], index: int
    ) -> Problem | None:
        question, answer, packed = entry["question"], reference_answer(entry), pack(entry)
        if not isinstance(answer, str) or not is_readable(self.params.family, answer):
            return None
        if any(marker in question + answer for marker in (*SPECIAL, self.marks.thinking_end)):
            return None
        if dataset.score_answer(answer, unpack(packed)) < CORRECT_SCORE:
            return None
        digest = _digest(question)
        return Problem(
            problem_id=f"{self.params.family}:{digest[:ID_DIGITS]}",
            split=self.split(question),
            difficulty=tier.difficulty,
            prompt=question,
            answer=answer,
            metadata={"difficulty": tier.difficulty, "entry": packed},
            seed=index,
        )

    def split(self, question: str) -> str:
        """By its text: a tenth is held out, another reserved where any tier asks for such."""
        bucket = int(_digest(question), 16) % NUM_BUCKETS
        is_reserving = any(tier.num_reserved for tier in self.params.tiers)
        return {0: "heldout", 1: RESERVED if is_reserving else "train"}.get(bucket, "train")

    def _too_few(self, tier: ReasoningGymTier, missing: Mapping[str, int]) -> NoReturn:
        num_found = sum(sizes(tier).values()) - sum(missing.values())
        raise BadInput(
            f"params.yaml task.tiers, difficulty {tier.difficulty}: family {self.params.family} "
            f"gave {num_found} distinct questions with a reference answer that it accepts itself; "
            f"still missing {counts_text(missing)} (held out or reserved is a tenth each of all "
            "questions); ask for fewer or widen the config"
        )


def _digest(question: str) -> str:
    """Equal for questions that differ in spaces alone."""
    return hashlib.sha256(" ".join(question.split()).encode()).hexdigest()

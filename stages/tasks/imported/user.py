"""Problems of a task by a class of the user's: two methods, problems and verify.

docs/tasks.md has a whole example.
"""

import random
from collections.abc import Iterator, Sequence

from stages.contracts.params.inits.demonstrations import DirectDemonstrations, WorkedDemonstrations
from stages.contracts.params.task import Tier, UserTask
from stages.running.errors import BadInput
from stages.tasks.imported.intake import Accepts, Intake, Refusals
from stages.tasks.imported.user_class import Solving, explain, load_user_class
from stages.tasks.marks import text_marks
from stages.tasks.question import Question, question_of
from stages.tasks.splits import fill_splits, sizes
from stages.tasks.strategies import shown_demonstrations
from stages.tasks.task import Problem, StrategySettings

ADVICE = "mend the class, then set task.sha256 anew:"


class User:
    """The source of a user's problems; see `stages.tasks.task.Source`."""

    def __init__(self, params: UserTask, accepts: Accepts) -> None:
        self.params = params
        self._accepts = accepts
        self._task = load_user_class(params)

    def problems(self) -> Iterator[Problem]:
        """Questions per tier, each at most once, all with an answer that the class itself accepts.

        Raises:
            BadInput: a question cannot be used, or a tier has too few.
        """
        refusals = Refusals()
        intake = Intake(self.params, refusals)
        by_id: dict[str, Problem] = {}
        too_few: list[str] = []
        where = f"params.yaml task.source: {self.params.source}"
        for tier in self.params.tiers:
            draws = self._draws(tier, intake)
            fresh = (
                problem for problem in draws if problem is None or problem.problem_id not in by_id
            )
            kind = f"of difficulty {tier.difficulty} in {self.params.source}"
            try:
                drawn = list(fill_splits(fresh, sizes(tier), kind))
            except BadInput as error:
                too_few.append(str(error))
                continue
            by_id |= {problem.problem_id: problem for problem in drawn}
        if too_few:
            refusals.stop(where, ADVICE)
            raise BadInput("\n".join(dict.fromkeys(too_few)))
        problems = list(by_id.values())
        intake.verify(problems, [_place(p.difficulty, p.seed) for p in problems], self._accepts)
        refusals.stop(where, ADVICE)
        yield from problems

    def demonstrations(
        self,
        problems: Sequence[Problem],
        settings: DirectDemonstrations | WorkedDemonstrations,
        seed: int,
    ) -> Iterator[StrategySettings]:
        """Reference answers at once, or each behind the solution that the class gives."""
        return shown_demonstrations(problems, settings, text_marks(self.params.text), seed)

    def solutions(self, problem: Problem) -> list[str]:
        """Every correct answer; none where the class does not list them."""
        if not isinstance(self._task, Solving):
            return []
        return self._task.solutions(question_of(problem.metadata))

    def _draws(self, tier: Tier, intake: Intake) -> Iterator[Problem | None]:
        for number, question in enumerate(self._questions(tier), start=1):
            yield intake.problem(question, tier.difficulty, number, _place(tier.difficulty, number))

    def _questions(self, tier: Tier) -> Iterator[Question]:
        try:
            for question in self._task.problems(
                tier.difficulty, random.Random(f"{self.params.seed}/{tier.difficulty}")
            ):
                if not isinstance(question, Question):
                    raise TypeError(f"method problems must give Questions, not {question!r}")
                yield question
        except Exception as error:  # the user's code, which may raise anything
            raise BadInput(
                f"params.yaml task.source: {self.params.source}: {explain(error)}"
            ) from error


def _place(difficulty: int, number: int) -> str:
    return f"problem {number} of difficulty {difficulty}"

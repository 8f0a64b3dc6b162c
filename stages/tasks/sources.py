"""Task sources by name."""

from collections.abc import Sequence

from stages.contracts.params.task import (
    CountdownTask,
    DatasetTask,
    ModularTask,
    ReasoningGymTask,
    TaskParams,
)
from stages.tasks.imported.intake import Accepts
from stages.tasks.task import Problem, Source


def unasked(problems: Sequence[Problem]) -> Sequence[str]:
    """For stages that draw no problems, and so have none judged."""
    raise AssertionError(
        f"{len(problems)} problems to judge, but only stage prepare draws problems"
    )


def load_source(params: TaskParams, accepts: Accepts = unasked) -> Source:
    """The source of the task that params.yaml names.

    `accepts` judges reference answers that come from outside.
    """
    if isinstance(params, CountdownTask):
        from stages.tasks.countdown import Countdown

        return Countdown(params)
    if isinstance(params, ModularTask):
        from stages.tasks.modular import Modular

        return Modular(params)
    if isinstance(params, ReasoningGymTask):
        from stages.tasks.reasoning_gym import ReasoningGym

        return ReasoningGym(params)
    if isinstance(params, DatasetTask):
        from stages.tasks.imported.dataset import Dataset

        return Dataset(params, accepts)
    from stages.tasks.imported.user import User

    return User(params, accepts)

"""Task sources by name."""

from stages.contracts.task_params import CountdownTask, ModularTask, TaskParams
from stages.tasks.task import Source


def load_source(params: TaskParams) -> Source:
    """The source of the task that params.yaml names."""
    if isinstance(params, CountdownTask):
        from stages.tasks.countdown import Countdown

        return Countdown(params)
    if isinstance(params, ModularTask):
        from stages.tasks.modular import Modular

        return Modular(params)
    from stages.tasks.reasoning_gym import ReasoningGym

    return ReasoningGym(params)

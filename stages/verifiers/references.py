"""Reference answers that come from outside, judged by the task's own verifier before all else."""

from collections.abc import Sequence

from stages.contracts.params.task import TaskParams
from stages.running.progress import ProgressBar
from stages.tasks.task import Problem
from stages.verifiers import isolated
from stages.verifiers.isolated import Submission


def reference_verdicts(task: TaskParams, problems: Sequence[Problem]) -> list[str]:
    """What the task's own verifier says of each reference answer."""
    submissions = [Submission(problem, problem.answer, is_attempt=False) for problem in problems]
    with ProgressBar("prepare", len(submissions), "answers") as progress:
        return [
            str(verdict) for verdict in isolated.verify(task, submissions, on_verified=progress.add)
        ]

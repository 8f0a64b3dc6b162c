"""Each task has its verifier, and one that cannot be used is refused before a worker starts."""

import pytest

from fixtures.tasks import countdown_task, mathematics_task
from stages.contracts.params.task import TaskParams, VerifierClass
from stages.contracts.verdict import Verdict
from stages.running.errors import BadInput
from stages.verifiers.registry import load_verifier, need_verifier


@pytest.mark.parametrize(
    ("task", "metadata", "right", "wrong"),
    [
        (countdown_task(), {"numbers": [3, 5, 7], "target": 36}, "7 + 5 12 12 * 3 36", "7 + 5 12"),
        (mathematics_task(), {"answer": "1/2"}, "0.5", "2"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_each_task_has_its_own_verifier(
    task: TaskParams, metadata: dict[str, object], right: str, wrong: str
) -> None:
    verifier = load_verifier(task)
    assert verifier.verify(metadata, right) is Verdict.CORRECT
    assert verifier.verify(metadata, wrong) is not Verdict.CORRECT
    need_verifier(task)


def test_a_verifier_that_is_not_there_is_refused_at_once() -> None:
    chosen = VerifierClass(source="no_such_module:Verifier", sha256="0" * 64)
    task = countdown_task().model_copy(update={"verifier": chosen})
    with pytest.raises(BadInput, match=r"no_such_module\.py is missing"):
        need_verifier(task)

"""What a policy starts from: what is refused."""

from pathlib import Path

from stages.contracts.params.inits.model import HubCheckpoint
from stages.contracts.params.whole import load
from tests.contracts.params.mistakes import (
    Edit,
    Mistake,
    assert_refused,
    chat_task,
    each_mistake,
    put,
    written,
)

MISTAKES: list[Mistake] = [
    (
        "heads_that_do_not_fit",
        [put("inits.r0.model.num_heads", 3)],
        ["inits.r0.model", "num_heads 3", "multiple of"],
    ),
    (
        "revision_that_is_no_commit",
        [chat_task, put("inits.r0.model.revision", "main")],
        ["inits.r0.model", "revision"],
    ),
    (
        "checkpoint_without_a_digest",
        [put("inits.r0.model", {"checkpoint": "data/bases/b", "sha256": "12"})],
        ["inits.r0.model", "sha256", "12"],
    ),
    (
        "hub_without_an_owner",
        [chat_task, put("inits.r0.model.hub", "name")],
        ["inits.r0.model", "hub", "pattern"],
    ),
    (
        "shape_and_checkpoint",
        [put("inits.r0.model.checkpoint", "data/bases/b")],
        ["inits.r0.model", "no key named checkpoint"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)


def test_a_chat_task_loads_and_its_checkpoint_may_be_the_first_policy(tmp_path: Path) -> None:
    init = load(written(tmp_path, chat_task)).inits["r0"]
    assert isinstance(init.model, HubCheckpoint)
    assert init.sft.epochs == 0

"""Tasks: what is refused, and what each can give."""

from pathlib import Path

import pytest

from fixtures.tasks import countdown_task, mathematics_task
from stages.contracts.params.whole import load
from tests.contracts.params.mistakes import (
    ABSENT,
    Edit,
    Mistake,
    Raw,
    assert_refused,
    chat_task,
    each_mistake,
    put,
    text_task,
    written,
)

TIER = {"difficulty": 0, "num_train": 1, "num_heldout": 1, "num_reserved": 0}


def dataset_task(content: Raw) -> None:
    """Make it a task of a file of mathematics, whose rows have no levels."""
    text_task(content)
    content["task"] = mathematics_task().model_dump(mode="json", exclude_none=True)


MISTAKES: list[Mistake] = [
    ("task", [put("task.name", "chess")], ["task", "'countdown'", "'reasoning_gym'", "chess"]),
    (
        "two_ways_to_pay_parts",
        [
            text_task,
            put("task.partial_credit", True),
            put("task.verifier", {"source": "mine:Verifier", "sha256": "0" * 64}),
        ],
        ["task.reasoning_gym", "partial_credit", "verifier"],
    ),
    ("six_numbers", [put("task.tiers.0.num_numbers", 6)], ["tiers.0.num_numbers", "equal to 5"]),
    (
        "reserved_below_none",
        [put("task.tiers.0.num_reserved", -1)],
        ["task.countdown.tiers.0.num_reserved", "greater than or equal to 0", "-1"],
    ),
    ("reserved_unsaid", [put("task.tiers.0.num_reserved", ABSENT)], ["num_reserved", "required"]),
    ("no_tier", [put("task.tiers", [])], ["tiers", "at least 1"]),
    ("bucket", [put("task.heldout_bucket", 2)], ["heldout_bucket", "0 or 1"]),
    (
        "tier_by_config_and_level",
        [text_task, put("task.tiers.0.level", 1)],
        ["task.reasoning_gym.tiers.0", "difficulty 1", "either config or level"],
    ),
    (
        "small_vocabulary",
        [text_task, put("task.text.vocabulary_size", 260)],
        ["text.trained.vocabulary_size", "261"],
    ),
    (
        "verifier_by_no_name",
        [put("task.verifier", {"source": "mine", "sha256": "0" * 64})],
        ["task.countdown.verifier.source", "pattern"],
    ),
    (
        "file_of_another_kind",
        [dataset_task, put("task.path", "rows.csv")],
        ["task.dataset.path", "pattern"],
    ),
    (
        "levels_without_a_column",
        [dataset_task, put("task.tiers.0.levels", [1])],
        ["task.dataset", "columns.level is absent"],
    ),
    (
        "a_column_of_levels_that_no_tier_names",
        [dataset_task, put("task.columns.level", "level")],
        ["task.dataset", "every tier must name its levels"],
    ),
    (
        "a_level_in_two_tiers",
        [
            dataset_task,
            put("task.columns.level", "level"),
            put("task.tiers", [{**TIER, "levels": [1, 2]}, {**TIER, "levels": [2]}]),
        ],
        ["task.dataset", "level 2 stands twice"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)


@pytest.mark.parametrize(("difficulty", "num_tokens"), [(2, 5), (3, 9), (4, 13)])
def test_an_answer_of_countdown_has_four_tokens_a_step(difficulty: int, num_tokens: int) -> None:
    task = countdown_task()
    answer = " ".join(["1 + 1 2"] * (difficulty - 1))
    assert task.shortest_answer_tokens(difficulty) == num_tokens == len(answer.split()) + 1


def test_a_wrong_answer_earns_where_the_task_says_so(tmp_path: Path) -> None:
    paid = written(tmp_path, text_task, put("task.partial_credit", True))
    assert load(paid).task.pays_parts
    assert not load(written(tmp_path, text_task)).task.pays_parts
    assert not load(written(tmp_path)).task.pays_parts


def test_a_chats_words_are_those_of_a_checkpoint(tmp_path: Path) -> None:
    assert load(written(tmp_path, chat_task)).task.needs_checkpoint
    assert not load(written(tmp_path, text_task)).task.needs_checkpoint

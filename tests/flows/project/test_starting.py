"""A params.yaml to start from: what a file, a class or a family becomes, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.project import starting
from flows.project.starting import NotUsable
from stages.contracts.params.whole import Params

FOUND: dict[str, Any] = {
    "tiers": [{"difficulty": 0, "num_train": 30, "num_heldout": 3, "num_reserved": 0}],
    "has_solutions": True,
    "question_characters": 20,
    "question_bytes": 20,
    "answer_bytes": 2,
    "solution_bytes": 40,
}
ROW = {"problem": "What is 2 + 3?", "answer": 5, "level": "easy", "reasoning": "2 and 3"}
UNNAMED: dict[str, str | None] = {}


def file_of(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "sums.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_files_columns_are_found_by_their_usual_names(tmp_path: Path) -> None:
    file = file_of(tmp_path, {**ROW, "level": 10}, {**ROW, "level": 9}, {**ROW, "level": "easy"})
    task = starting.of_file(file, "0" * 64, UNNAMED)
    names = {"question": "problem", "answer": "answer", "level": "level", "solution": "reasoning"}
    assert task["columns"] == names
    assert [tier["levels"] for tier in task["tiers"]] == [[9], [10], ["easy"]]
    assert [tier["difficulty"] for tier in task["tiers"]] == [0, 1, 2]


def test_a_column_that_is_named_comes_before_a_usual_one(tmp_path: Path) -> None:
    file = file_of(tmp_path, {**ROW, "final": "5"})
    named: dict[str, str | None] = {"answer": "final"}
    assert starting.of_file(file, "0" * 64, named)["columns"]["answer"] == "final"
    with pytest.raises(NotUsable, match="no column last in every row; choose from"):
        starting.of_file(file, "0" * 64, {"answer": "last"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no rows"),
        ("{\n", "line 1 is not JSON"),
        ("[1]\n", "line 1 is no JSON object"),
        ('{"ask": "a", "answer": "b"}\n', r"name one of \['answer', 'ask'\] with --question"),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    file.write_text(text)
    with pytest.raises(NotUsable, match=told):
        starting.of_file(file, "0" * 64, UNNAMED)


def test_another_ending_and_too_many_levels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotUsable, match=r"ends in \.jsonl or \.parquet"):
        starting.of_file(tmp_path / "sums.csv", "0" * 64, UNNAMED)
    file = file_of(tmp_path, *({**ROW, "level": level} for level in range(13)))
    with pytest.raises(NotUsable, match="13 levels, more than 12"):
        starting.of_file(file, "0" * 64, UNNAMED)


def test_a_class_is_named_by_its_module() -> None:
    task = starting.of_class("tasks_of_mine/ones.py:Ones", "0" * 64, "6,8")
    assert task["source"] == "tasks_of_mine.ones:Ones"
    assert [tier["difficulty"] for tier in task["tiers"]] == [6, 8]
    with pytest.raises(NotUsable, match="name the class behind its file"):
        starting.of_class("tasks_of_mine/ones.py", "0" * 64, "1")
    with pytest.raises(NotUsable, match="--difficulties easy: whole numbers"):
        starting.of_class("ones.py:Ones", "0" * 64, "easy")


def test_sizes_follow_what_was_found_and_the_file_is_valid() -> None:
    text = starting.of_text(starting.of_class("ones.py:Ones", "0" * 64, "0"), FOUND, None)
    settings = Params.model_validate(yaml.safe_load(text))
    init, rollout = settings.inits["r0"], settings.recipes["information"].rollout
    assert init.demonstrations.strategy == "worked"
    assert init.demonstrations.num_demos == 1_000_000 // (20 + 40 + 2)
    assert (rollout.budget_tokens, rollout.answer_tokens) == (40 + 8, 2 + 8)
    assert rollout.num_problems == 30  # no more than there are to train on
    # 20 + 48 + 10 + 8 spare, up to the next 64
    assert init.model.max_positions == 128
    assert text.startswith("# yaml-language-server: $schema=docs/params.schema.json\n")
    assert "\n\ncompute:" in text


def test_without_solutions_answers_are_shown_at_once() -> None:
    found = {**FOUND, "has_solutions": False, "solution_bytes": 0}
    text = starting.of_text(starting.of_family("chain_sum"), found, None)
    assert yaml.safe_load(text)["inits"]["r0"]["demonstrations"]["strategy"] == "direct"


OF_FAMILY = {**FOUND, "tiers": [{**FOUND["tiers"][0], "level": 0}]}


def test_texts_too_long_for_the_small_model_ask_for_a_checkpoint() -> None:
    found = {**OF_FAMILY, "question_bytes": 4000}
    with pytest.raises(NotUsable, match="--model FOLDER"):
        starting.of_text(starting.of_family("chain_sum"), found, None)
    text = starting.of_text(starting.of_family("chain_sum"), found, "data/checkpoints/mine")
    content = yaml.safe_load(text)
    assert content["inits"]["r0"]["model"]["checkpoint"] == "data/checkpoints/mine"
    assert content["task"]["text"]["kind"] == "chat"
    Params.model_validate(content)


def test_countdown_is_the_default_smaller() -> None:
    settings = Params.model_validate(yaml.safe_load(starting.countdown()))
    assert settings.task.name == "countdown"

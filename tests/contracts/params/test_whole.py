"""params.yaml: what is in the repository loads, and every kind of mistake is refused by name."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fixtures.checkouts import ROOT
from stages.contracts.params.whole import Params, load
from stages.contracts.policy_tree import ancestors
from stages.running.errors import BadInput
from tests.contracts.params.mistakes import (
    CHAT,
    JUDGE,
    ROUND,
    Edit,
    Mistake,
    assert_refused,
    each_mistake,
    put,
    raw,
    text_task,
    written,
)

FILES = [
    ROOT / "params.yaml",
    *sorted((ROOT / "profiles").glob("*.yaml")),
    *sorted((ROOT / "tests" / "profiles").glob("*.yaml")),
]


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_the_files_of_the_repository_load(file: Path) -> None:
    settings = load(file)
    assert settings.rounds
    assert all(ancestors(settings.rounds, name)[-1] in settings.inits for name in settings.rounds)


def test_a_text_task_loads(tmp_path: Path) -> None:
    assert load(written(tmp_path, text_task)).task.name == "reasoning_gym"


MISTAKES: list[Mistake] = [
    ("nothing_to_examine", [put("exams", {})], ["exams", "at least 1"]),
    (
        "missing_parent",
        [put("rounds.i2.parent", "i9")],
        ["rounds.i2.parent", "i9", "['r0', 'i1']"],
    ),
    ("own_parent", [put("rounds.i2.parent", "i2")], ["rounds.i2.parent", "circular", "i2 -> i2"]),
    (
        "circular_parents",
        [put("rounds.i1.parent", "i2")],
        ["rounds.i1.parent", "circular", "i1 -> i2 -> i1"],
    ),
    (
        "circle_further_up",
        [
            put("rounds.i2.parent", "i3"),
            put("rounds.i3", {**ROUND, "parent": "i2"}),
            put("rounds.i1.parent", "i2"),
        ],
        ["rounds.i1.parent", "circular", "i1 -> i2 -> i3 -> i2"],
    ),
    (
        "unknown_recipe",
        [put("rounds.i2.recipe", "info")],
        ["rounds.i2.recipe", "info", "'information'"],
    ),
    ("unknown_exam", [put("exams.i7", {"judge": "exact"})], ["exams", "i7", "'r0', 'i1', 'i2'"]),
    (
        "two_of_one_name",
        [put("rounds.r0", {**ROUND, "parent": "i1"})],
        ["r0", "init", "round", "rename"],
    ),
    (
        "chat_without_checkpoint",
        [text_task, put("task.text", CHAT)],
        ["inits.r0.model", "kind chat", "checkpoint"],
    ),
    (
        "strategy_of_another_task",
        [
            text_task,
            put(
                "inits.r0.demonstrations",
                {**raw()["inits"]["r0"]["demonstrations"], "difficulty_weights": {1: 1.0}},
            ),
        ],
        ["inits.r0.demonstrations.strategy", "revise", "reasoning_gym", "['direct']"],
    ),
    (
        "answer_without_room",
        [put("recipes.information.rollout.answer_tokens", 8)],
        ["recipes.information.rollout.answer_tokens", "8", "difficulty 3", "takes 9"],
    ),
    (
        "difficulty_of_no_tier",
        [put("recipes.information.rollout.difficulties", [3, 5])],
        ["recipes.information.rollout.difficulties", "no difficulty 5"],
    ),
    (
        "more_problems_than_there_are",
        [put("task.tiers.0.num_train", 383)],
        ["recipes.information.rollout.num_problems", "384 problems of difficulties [3]", "383"],
    ),
    (
        "training_budget_of_no_exam",
        [put("report.training_budget_tokens", 7)],
        ["report.training_budget_tokens", "no budget 7"],
    ),
    (
        "exam_longer_than_the_model",
        [put("exam.budgets_tokens", [0, 72, 5000])],
        ["inits.r0.model.max_positions", "no prompt", "50"],
    ),
    (
        "unknown_reference",
        [put("rounds.i2.reference", "i9")],
        ["rounds.i2.reference", "i9", "['r0', 'i1']"],
    ),
    ("unknown_judge", [put("rounds.i2.judge", "g1")], ["rounds.i2.judge", "g1", "['exact']"]),
    ("judge_of_an_exam", [put("exams.r0.judge", "g1")], ["exams.r0.judge", "g1", "['exact']"]),
    ("judge_named_exact", [put("judges.exact", JUDGE)], ["judges.exact", "rename"]),
    (
        "judge_without_a_round",
        [put("judges.g1", {**JUDGE, "round": "i9"})],
        ["judges.g1.round", "i9", "'i1', 'i2'"],
    ),
    (
        "judge_of_its_own_round",
        [put("judges.g1", JUDGE), put("rounds.i1.judge", "g1")],
        ["rounds and judges need each other", "g1", "i1"],
    ),
    (
        "solutions_that_cannot_be_listed",
        [
            text_task,
            put(
                "recipes.outcome.probe",
                {"estimator": "set_likelihood", "temperature": 1.0, "micro_batch_tokens": 8},
            ),
        ],
        ["recipes.outcome.probe.estimator", "set_likelihood", "'forced_answer'"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path, put("exam.num_samples", 0), put("evaluate.confidence", 2.0), put("exam.seed", -1)
    )
    with pytest.raises(BadInput, match=re.escape(f"{path}: 3 problem(s)")) as refused:
        load(path)
    assert all(
        key in str(refused.value)
        for key in ("exam.num_samples", "evaluate.confidence", "exam.seed")
    )


def test_what_is_wrong_between_sections_is_told_beside_what_is_wrong_in_them(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        put("inits.r0.seed", -1),  # wrong in itself: its model is not held against the exam
        put("recipes.information.rollout.difficulties", [3, 5, 6]),
        put("rounds.i2.recipe", "info"),
        put("rounds.i1.judge", "g1"),
        put("report.training_budget_tokens", 7),
    )
    with pytest.raises(BadInput, match=re.escape(f"{path}: 6 problem(s)")) as refused:
        load(path)
    told = str(refused.value)
    assert "inits.r0.seed" in told
    for words in ("no difficulty 5", "no difficulty 6", "named info", "named g1", "no budget 7"):
        assert words in told


@given(st.sampled_from(["task", "inits", "recipes", "rounds", "exam", "exams", "report"]))
def test_rules_hold_of_the_others_where_a_section_is_no_section(section: str) -> None:
    content = raw()
    content["rounds"]["i2"]["parent"] = "i9"
    content[section] = 3
    with pytest.raises(ValidationError) as refused:
        Params.model_validate(content)
    told = str(refused.value)
    assert section in told
    assert ("i9" in told) == (section != "rounds")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"task: [", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"", "valid dictionary"),
        (b"- 1", "valid"),
    ],
)
def test_a_file_that_is_no_params_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(BadInput, match=message):
        load(tmp_path / "params.yaml")


def test_a_policy_knows_its_line() -> None:
    settings = Params.model_validate(raw())
    assert ancestors(settings.rounds, "i2") == ["i2", "i1", "r0"]
    assert ancestors(settings.rounds, "r0") == ["r0"]


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(FILES[0].read_text().replace("exams:", "report: {}\nexams:", 1))
    with pytest.raises(BadInput, match=r'line .*duplicate key "report"'):
        load(file)

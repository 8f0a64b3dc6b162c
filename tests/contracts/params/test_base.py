"""What all sections have in common: keys, kinds of values, and how one is read by its key."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from fixtures.checkouts import ROOT
from stages.contracts.params.base import read_file, read_section, variants
from stages.contracts.params.exam import Exam
from stages.contracts.params.recipes.rollout import Rollout
from stages.contracts.params.recipes.segments import CutpointCut, FixedCut, MarkerCut, Segments
from stages.contracts.params.whole import load
from stages.running.errors import BadInput
from tests.contracts.params.mistakes import (
    ABSENT,
    ROUND,
    Edit,
    Mistake,
    assert_refused,
    each_mistake,
    put,
    written,
)

MISTAKES: list[Mistake] = [
    (
        "unknown_key",
        [put("recipes.information.update.loss_", "dapo")],
        ["recipes.information.update", "loss_", "'loss'"],
    ),
    ("unknown_key_at_the_top", [put("recipe", {})], ["recipe", "'recipes'"]),
    (
        "unknown_key_of_a_union",
        [put("recipes.information.probe.K", 4)],
        ["probe", "K", "'micro_batch_tokens'"],
    ),
    ("missing_key", [put("exam.seed", ABSENT)], ["exam.seed", "Field required"]),
    ("missing_section", [put("evaluate", ABSENT)], ["evaluate", "Field required"]),
    ("not_a_number", [put("exam.temperatures", [float("nan")])], ["exam.temperatures.0", "nan"]),
    (
        "text_for_number",
        [put("exam.num_samples", "2")],
        ["exam.num_samples", "valid integer", "'2'"],
    ),
    (
        "fraction_for_count",
        [put("exam.num_samples", 2.5)],
        ["exam.num_samples", "valid integer", "2.5"],
    ),
    (
        "flag_for_count",
        [put("exam.num_samples", True)],
        ["exam.num_samples", "valid integer", "True"],
    ),
    (
        "number_for_flag",
        [put("recipes.information.update.mask_truncated", 1)],
        ["mask_truncated", "valid boolean"],
    ),
    ("list_for_section", [put("exam", [])], ["exam", "valid dictionary"]),
    ("name", [put("rounds.i 3", ROUND)], ["rounds.i 3", "pattern"]),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)


def test_a_number_in_short_is_a_number(tmp_path: Path) -> None:
    path = written(tmp_path)
    text = path.read_text()
    path.write_text(re.sub(r"learning_rate: \S+", "learning_rate: 3e-6", text))
    assert load(path).recipes["information"].update.optimizer.learning_rate == 3e-6


@pytest.mark.parametrize("number", ["1e-300", "1e300", "1.0e-39"])
def test_a_number_that_float32_lacks_is_refused(number: str, tmp_path: Path) -> None:
    """As float32 a temperature of 1e-300 is 0, and 1e300 infinite."""
    path = written(tmp_path)
    path.write_text(re.sub(r"temperature: \S+", f"temperature: {number}", path.read_text()))
    with pytest.raises(BadInput, match=r"rollout\.temperature: float32 holds 0 and 1\.18e-38 to"):
        load(path)


def test_a_wrong_value_is_shown_in_part_and_without_escapes(tmp_path: Path) -> None:
    path = written(tmp_path, put("exam.seed", "x" * 10**6), put("report.\x1b[31m", 1))
    with pytest.raises(BadInput, match="1,000,002 characters in all") as refused:
        load(path)
    assert len(str(refused.value)) < 2000
    assert "no key named \\x1b[31m" in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_settings_are_frozen() -> None:
    exam = read_section(ROOT / "params.yaml", "exam", Exam)
    with pytest.raises(ValidationError, match="frozen"):
        exam.seed = 3


def test_a_section_is_read_by_its_key_whatever_else_the_file_says(tmp_path: Path) -> None:
    path = written(tmp_path, put("task.name", "chess"), put("exam.num_samples", 0))
    rollout = read_section(path, "recipes.information.rollout", Rollout)
    assert rollout == load(ROOT / "params.yaml").recipes["information"].rollout
    with pytest.raises(BadInput, match=r"exam\.num_samples: Input should be greater.*\(found 0\)"):
        read_section(path, "exam", Exam)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("exem", "the file has no key named exem; choose from .*'exam'"),
        ("recipes.info", "recipes has no key named info; choose from .*'information'"),
        ("exam.seed.low", r"exam.seed has no key named low; choose from \[\]"),
    ],
)
def test_a_key_that_is_not_there_is_named_with_the_choices(key: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_section(ROOT / "params.yaml", key, Exam)


@pytest.mark.parametrize("content", [b"task: [", b"\xff\xfe\x00"])
def test_a_file_that_is_no_yaml_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(BadInput, match="not valid YAML"):
        read_file(tmp_path / "params.yaml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="missing; run from the repository's root"):
        read_file(tmp_path / "params.yaml")


def test_variants_are_known_by_the_word_that_chooses_them() -> None:
    assert variants(Segments) == {"marker": MarkerCut, "fixed": FixedCut, "cutpoint": CutpointCut}

"""What all sections have in common: keys, kinds of values, and how one is read by its key.

params.yaml means to a stage what it means to DVC, or is refused with its line.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import dumps_yaml, loads_yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fixtures.checkouts import PROFILES, ROOT
from flows.project import yaml_text
from stages.contracts.params.base import (
    parsed,
    read_file,
    read_section,
    shortened,
    shown,
    variants,
)
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

FILE = Path("params.yaml")
LEARNING_RATE = "recipes.information.update.optimizer.learning_rate"
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


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("010", 10),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("no", "no"),
        ("off", "off"),
        ("yes", "yes"),
        ("1e-6", 1e-6),
        ("3e-06", 3e-6),
        ("0o17", 15),
        ("1_000", 1000),
    ],
)
def test_a_value_is_what_dvc_takes_it_for(written: str, value: object) -> None:
    text = f"seed: {written}\n"
    assert parsed(text, FILE) == {"seed": value} == loads_yaml(text) == yaml_text.values(text)


def test_an_anchor_and_a_merge_are_what_dvc_takes_them_for() -> None:
    text = "a: &a {seed: 1, name: x}\nb: {<<: *a, seed: 2}\n"
    assert parsed(text, FILE)["b"] == {"seed": 2, "name": "x"} == loads_yaml(text)["b"]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans())
def test_what_dvc_writes_into_its_lock_is_what_the_stage_had(value: object) -> None:
    text = dumps_yaml({"value": value})
    assert parsed(text, FILE)["value"] == value


@pytest.mark.parametrize("profile", [ROOT / FILE, *PROFILES.glob("*.yaml")])
def test_the_projects_files_are_what_dvc_takes_them_for(profile: Path) -> None:
    assert read_file(profile) == loads_yaml(profile.read_text())


@pytest.mark.parametrize("number", ["3e-6", "0.00003", "1e-5", "5e-05"])
def test_an_override_on_the_command_line_is_a_number(number: str, tmp_path: Path) -> None:
    """The README changes a learning rate so; Hydra writes it down in short."""
    path = tmp_path / FILE
    path.write_text((ROOT / FILE).read_text())
    apply_overrides(str(path), [f"{LEARNING_RATE}={number}"])
    value: Any = load(path)
    for key in LEARNING_RATE.split("."):
        value = value[key] if isinstance(value, dict) else getattr(value, key)
    assert value == float(number)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: ]", "params.yaml, line 2: not valid YAML"),
        ("a: 1\na: 2\n", 'line 2: not valid YAML: found duplicate key "a"'),
        ("# x\n%YAML 1.1\n---\na: no\n", "line 2: %YAML 1.1: DVC reads version 1.2"),
        ("a: 1\nb: 2026-99-99\n", "line 2: 2026-99-99: not valid YAML: month"),
        (f"a: {'9' * 5000}\n", r"line 1: 9{200}… 5,000 characters in all: not valid"),
        ("a: !!python/object:os.system x\n", "line 1: not valid YAML"),
        (f"a: {'[' * 3000}", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("---\na: 1\n---\nb: 1\n", "another document"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as refused:
        parsed(text, FILE)
    assert len(str(refused.value)) < 1000


def test_a_text_is_shown_in_part_and_without_escapes() -> None:
    assert shortened("\x1b[31m") == "\\x1b[31m"
    assert shortened("ab" * 200, 3) == "aba… 400 characters in all"
    assert shown("\x07") == r"'\x07'"
    assert shown(1 << 20_000) == "an integer of 20,001 bits"

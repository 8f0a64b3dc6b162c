"""params.yaml means to a stage what it means to DVC, or is refused with its line."""

from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import dumps_yaml, loads_yaml
from hypothesis import given
from hypothesis import strategies as st

from fixtures.checkouts import PROFILES, ROOT
from flows.project import yaml_text
from stages.contracts.params.base import read_file
from stages.contracts.params.reading import parsed, shortened, shown
from stages.contracts.params.whole import load
from stages.running.errors import BadInput

FILE = Path("params.yaml")
LEARNING_RATE = "recipes.information.update.optimizer.learning_rate"


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

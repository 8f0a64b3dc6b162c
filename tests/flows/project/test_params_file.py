"""params.yaml checked, edited and replaced; edits leave every other line as it was."""

import shutil
from pathlib import Path

import pytest
import yaml

from fixtures.checkouts import PROFILES, ROOT
from flows.project import params_file
from flows.project.params_file import BadParams, NewRound
from flows.project.paths import PARAMS
from stages.contracts.verdict import EXACT


@pytest.fixture(autouse=True)
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The working directory's params.yaml: that of the project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copy(ROOT / PARAMS, tmp_path)
    return PARAMS.read_text()


def test_the_projects_params_and_every_profile_are_right() -> None:
    params_file.check()
    for profile in PROFILES.glob("*.yaml"):
        params_file.check_text(profile.read_text())


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("max_number: 12", "max_number: twelve", "task.*max_number"),
        ("  seed: 20", "  seed: 20\n  sed: 20", "task.*sed"),
        ("reference: r0, recipe: outcome", "reference: r9, recipe: outcome", "no policy named r9"),
        ("task:", "task: [", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, named: str, text: str) -> None:
    wrong = text.replace(old, new, 1)
    assert wrong != text
    with pytest.raises(BadParams, match=rf"^params\.yaml(?s:.*){named}"):
        params_file.check_text(wrong)
    with pytest.raises(BadParams, match=named):
        params_file.publish(wrong)
    assert PARAMS.read_text() == text
    PARAMS.write_text(wrong)
    with pytest.raises(BadParams, match=named):
        params_file.check()


def test_a_check_that_breaks_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(params_file, "CHECKER", "stages.contracts.nothing")
    with pytest.raises(BadParams, match=r"could not be checked.*exit code 1: .*No module named"):
        params_file.check()


def test_a_valid_text_is_published_whole(text: str) -> None:
    new = params_file.with_exam(text, "i2", EXACT)
    params_file.publish(new)
    assert PARAMS.read_text() == new
    assert yaml.safe_load(new)["exams"]["i2"] == {"judge": EXACT}
    assert params_file.with_exam(new, "i2", EXACT) == new  # once is enough


def test_what_is_added_is_taken_out_again(text: str) -> None:
    new = params_file.with_round(text, NewRound("n1", "i3", "information"))
    assert yaml.safe_load(new)["rounds"]["n1"] == {
        "parent": "i3",
        "reference": "r0",
        "recipe": "information",
        "judge": EXACT,
        "seed": 4,
    }
    new = params_file.with_exam(new, "n1", EXACT)
    assert len(new.splitlines()) == len(text.splitlines()) + 2
    assert params_file.without_round(new, "n1") == text
    assert params_file.without_round(text, "n1") == text


def test_a_recipe_of_its_own_changes_only_the_keys_given(text: str) -> None:
    changed = {"budget_tokens": 36, "difficulties": [3, 4]}
    new = params_file.with_round(text, NewRound("n1", "r0", "outcome", seed=9), changed)
    content = yaml.safe_load(new)
    assert content["rounds"]["n1"] == {
        "parent": "r0",
        "reference": "r0",
        "recipe": "outcome_n1",
        "judge": EXACT,
        "seed": 9,
    }
    base = content["recipes"]["outcome"]
    assert content["recipes"]["outcome_n1"] == {**base, "rollout": {**base["rollout"], **changed}}
    params_file.check_text(new)

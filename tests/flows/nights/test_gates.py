"""Gates and drift on numbers written by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.checkouts import ROOT
from flows.nights import gates, settings
from flows.nights.settings import Settings


def interval(low: float | None, mean: float | None, high: float | None) -> dict[str, float | None]:
    return {"low": low, "mean": mean, "high": high}


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(ROOT)
    return settings.load()


@pytest.mark.parametrize(
    ("low", "mean", "high", "is_passed"),
    [
        (-0.30, -0.10, -0.021, False),  # wholly below -0.02
        (-0.30, -0.10, -0.02, True),  # touches the limit
        (-0.30, -0.10, 0.05, True),  # may be noise
        (0.10, 0.20, 0.30, True),
        (None, None, None, False),  # not measured
    ],
)
def test_regression_needs_a_whole_interval_below_the_limit(
    low: float | None, mean: float | None, high: float | None, is_passed: bool
) -> None:
    good = interval(0.0, 0.1, 0.2)
    gate = gates.regression(
        {"all": good, "difficulty_2": good, "difficulty_3": interval(low, mean, high)}, 0.02
    )
    assert gate.is_passed is is_passed
    assert ("difficulty_3" in gate.why, "difficulty_2" in gate.why) == (not is_passed, False)
    assert gate.numbers == {
        "max_regression": 0.02,
        "difficulty_2": good,
        "difficulty_3": interval(low, mean, high),
    }


def test_an_exam_without_difficulties_proves_nothing() -> None:
    assert not gates.regression({"all": interval(0.0, 0.1, 0.2)}, 0.02).is_passed


@pytest.mark.parametrize(("mean", "is_passed"), [(0.0, True), (-0.001, False), (None, False)])
def test_gain_is_of_the_mean_over_all(mean: float | None, is_passed: bool) -> None:
    gate = gates.gain(
        {"all": interval(-0.5, mean, 0.5), "difficulty_2": interval(-1.0, -1.0, -1.0)}, 0.0
    )
    assert gate.is_passed is is_passed


@pytest.mark.parametrize(
    ("audit", "is_passed", "why"),
    [
        ("", True, "no exam problem is in any ancestor's training data"),
        (
            "print('{}'); exit(1)",
            False,
            "exam problems are in training data; `knowhow audit leaks n1` names them",
        ),
        ("exit('error: no policy n1')", False, "the audit ended with 1: error: no policy n1"),
        (
            "import os; exit(f'error: {os.getcwd()}/a is bad')",
            False,
            "the audit ended with 1: error: a is bad",
        ),
        ("exit(2)", False, "the audit ended with 2: no output"),
    ],
)
def test_without_a_proof_the_leak_gate_is_shut(
    audit: str,
    is_passed: bool,
    why: str,
    wanted: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, text in (("__init__", ""), ("__main__", audit)):
        path = tmp_path / "lineage" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    assert gates.leaks("n1", wanted) == gates.Gate("leaks", is_passed, why)


def metrics(
    repeat: float, forced: float, false_positive: float | None, used: float
) -> dict[str, Any]:
    level = {
        "repeat_frac": repeat,
        "forced_frac": {"budget_27": forced, "budget_9": 1.0},
        "self_verification": {
            "false_positive_frac": None if false_positive is None else {"mean": false_positive}
        },
        "used_tokens": {"budget_27": used, "budget_9": 9.0},
    }
    return {"all": level}


def write(file: str, content: object) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(json.dumps(content))


def test_drift_is_at_the_training_budget_and_against_the_champion(
    wanted: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("report: {training_budget_tokens: 27}\n")
    write("data/metrics/exams/s1.json", metrics(0.9, 0.9, 0.9, 10.0))
    write("data/metrics/exams/n1.json", metrics(0.5, 0.7, None, 25.0))
    write("data/metrics/updates/n1.json", {"entropy_nats": {"first": 0.0, "last": 0.05}})
    drifts = {each.name: each for each in gates.drift("n1", "s1", wanted)}
    assert {name: each.value for name, each in drifts.items()} == {
        "repeat_frac": 0.5,
        "false_positive_frac": None,
        "forced_frac": 0.7,
        "entropy_nats": 0.05,
        "used_tokens_ratio": 2.5,
    }
    assert [str(each) for each in drifts.values() if not each.is_within] == [
        "repeat_frac is 0.5, should be at most 0.4",
        "false_positive_frac is not measured, should be at most 0.1",
        "used_tokens_ratio is 2.5, should be 0.5 to 2",
    ]


def test_the_stages_write_what_the_gates_read(
    wanted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the results that are in git."""
    monkeypatch.chdir(ROOT)
    assert all(each.value is not None for each in gates.drift("i3", "o3", wanted))
    differences = gates.differences("i3", "o3")
    assert set(differences) == {"all", "difficulty_3", "difficulty_4"}
    assert gates.regression(differences, wanted.max_regression).is_passed

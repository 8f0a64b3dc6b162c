"""Suites: what they name exists, all that is derived is judged, and no frame is kept."""

import gc
import weakref
from pathlib import Path

import pandas as pd
import pytest

from stages.contracts.tables.all import TABLES
from stages.validate import suites
from tests.validate.gate import arrow, framed, parameters
from tests.validate.sound_round import (
    NAMES,
    Rows,
)


@pytest.fixture(scope="module")
def frames(sound: Rows, workplace: Path) -> dict[str, pd.DataFrame]:
    """Check frames of the sound round."""
    return framed(arrow(sound), workplace)


@pytest.mark.parametrize("name", NAMES)
def test_suite_names_what_exists(
    name: str, frames: dict[str, pd.DataFrame], workplace: Path
) -> None:
    from great_expectations.expectations.registry import get_expectation_impl

    known = parameters(workplace)
    assert len(frames[name]) > 0
    suite = suites.read_suite(name)
    assert len({(e["type"], e["kwargs"]["column"]) for e in suite}) == len(suite)
    for expectation in suite:
        assert set(expectation) == {"type", "kwargs", "meta"}
        assert get_expectation_impl(expectation["type"]).__module__.startswith(
            "great_expectations.expectations.core."
        )
        assert expectation["kwargs"]["column"] in frames[name].columns
        assert expectation["meta"]["notes"]
        for bound in expectation["kwargs"].values():
            assert not isinstance(bound, dict) or bound["$PARAMETER"] in known


@pytest.mark.parametrize("name", NAMES)
def test_every_derived_column_is_judged(name: str, frames: dict[str, pd.DataFrame]) -> None:
    derived = set(frames[name].columns) - set(TABLES[name].schema.names)
    assert derived <= {e["kwargs"]["column"] for e in suites.read_suite(name)}


def test_every_parameter_is_used(workplace: Path) -> None:
    known = parameters(workplace)
    bounds = [
        bound for name in NAMES for e in suites.read_suite(name) for bound in e["kwargs"].values()
    ]
    assert {bound["$PARAMETER"] for bound in bounds if isinstance(bound, dict)} == set(known)


def test_the_gate_keeps_no_frame_that_it_has_judged() -> None:
    gate = suites.SuiteRunner({"verdicts": ["correct"]})
    frame = pd.DataFrame(
        {
            "rollout_id": ["r0", "r1"],
            "verdict": ["correct", "lucky"],
            "reward": 1.0,
            "judge_score": float("nan"),
            "reward_residual": 0.0,
            "is_of_known_rollout": True,
            "is_answer_of_rollout": True,
        }
    )
    kept = weakref.ref(frame)
    gate.check_rows("scores", frame)
    gate.check_rows("scores", frame.head(1))
    del frame
    gc.collect()
    assert kept() is None
    assert (gate.num_rows["scores"], gate.results["scores"].success) == (3, False)

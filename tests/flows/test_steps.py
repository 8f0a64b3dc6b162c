"""`python -m flows.steps`, as the chains of experiments read it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.checkouts import run, succeed

COMMAND = [sys.executable, "-m", "flows.steps"]


@pytest.fixture(scope="module")
def folder(checkout: Callable[[str], Path]) -> Path:
    return checkout("tiny")


def test_steps_come_in_running_order_with_templates_resolved(folder: Path) -> None:
    steps = json.loads(succeed([*COMMAND, "evaluate@s1"], folder).splitlines()[-1])
    names = [step["name"] for step in steps]
    for step in steps:
        assert {*step["parents"]} <= {*names[: names.index(step["name"])]}
        assert "${" not in step["command"]
    [score] = [step for step in steps if step["name"] == "score@s1"]
    assert "--tokenizer data/policies/i1/tokenizer.json" in score["command"]
    assert score["outs"] == [
        "data/rounds/s1/scores.parquet",
        "data/rounds/s1/segments.parquet",
        "data/metrics/summary/rounds/s1.json",
    ]
    assert score["params"]["recipes.sampled.segments"] == {"cut": "marker"}


def test_an_unknown_target_is_bad_input(folder: Path) -> None:
    done = run([*COMMAND, "no_such_stage"], folder)
    assert done.returncode == 2
    assert "no_such_stage" in done.stderr
    assert "Traceback" not in done.stderr

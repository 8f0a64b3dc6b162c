"""What is judged without Great Expectations comes out as it does with it."""

import copy
from pathlib import Path

import pandas as pd
import pytest

from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.validate.__main__ import check_round, read_settings
from stages.validate.plainly import PlainRunner
from stages.validate.problem_checks import drawn_problems
from stages.validate.suites import SuiteRunner, expectation_results
from tests.validate.corruptions import Corruption, each_corruption
from tests.validate.gate import arrow, framed, parameters, write_unchecked
from tests.validate.sound_round import NAMES, ROUND, Rows, settings_file, sound_rows

STREAMED = NAMES[1:]


def judged(folder: Path, workplace: Path, rows: Rows, params_file: Path) -> PlainRunner:
    """The outcomes of a round's suites."""
    write_unchecked(folder, rows)
    policy, form = workplace / "r0", workplace / "format.json"
    settings, renderer = read_settings(params_file, ROUND), Renderer.of_policy(policy)
    streamed = {name: folder / f"{name}.parquet" for name in STREAMED}
    problems, drawn = folder / "problems.parquet", drawn_problems(settings.task)
    return check_round(PlainRunner, ROUND, settings, renderer, problems, drawn, form, streamed)


@each_corruption
def test_a_corruption_is_found_where_the_gate_finds_it(
    corrupt: Corruption,
    table: str,
    column: str,
    count: int | None,
    tmp_path: Path,
    workplace: Path,
    sound: Rows,
) -> None:
    rows = copy.deepcopy(sound)
    offender = corrupt(rows)
    runner = judged(tmp_path, workplace, rows, workplace / "params.yaml")
    broken = [one for one in runner.found[table] if one.column == column and not one.success]
    [outcome] = broken
    assert outcome.unexpected_count == (count or len(rows[table]))
    assert outcome.first is not None
    shown = ", ".join(f"{name}={value}" for name, value in outcome.first.items())
    assert offender.split(",")[0] in shown


@pytest.mark.parametrize("estimator", ["set_likelihood", "forced_answer", "critic"])
def test_a_sound_round_holds(estimator: str, tmp_path: Path, workplace: Path) -> None:
    params_file = settings_file(tmp_path, estimator)
    rows = sound_rows(load(params_file), Renderer.of_policy(workplace / "r0"))
    runner = judged(tmp_path, workplace, rows, params_file)
    assert runner.num_rows == {name: len(rows[name]) for name in NAMES}
    assert not [one for found in runner.found.values() for one in found if not one.success]


def test_outcomes_are_those_of_great_expectations(sound: Rows, workplace: Path) -> None:
    """All of a table's at once, over two cuts, with rows that break many rules."""
    rows = copy.deepcopy(sound)
    for row in rows["rollouts"][2:5]:
        row |= {"finish_reason": "bored", "temperature": float("nan"), "policy_id": "i9", "seed": 1}
    frame = framed(arrow(rows), workplace)["rollouts"]
    known = parameters(workplace)
    plain, theirs = PlainRunner(known), SuiteRunner(known)
    for part in (frame.head(4), frame.iloc[4:]):
        plain.check_rows("rollouts", part)
        theirs.check_rows("rollouts", part)
    for column in ("seed", "problem_id"):
        whole = frame[["rollout_id", column]] if column == "seed" else frame[[column]]
        plain.check_column("rollouts", column, pd.DataFrame(whole))
        theirs.check_column("rollouts", column, pd.DataFrame(whole))
    ours = sorted(plain.found["rollouts"], key=lambda one: (one.column, one.type))
    expected = expectation_results(theirs.results["rollouts"])
    brief = [(one.column, one.success, one.unexpected_count, one.first) for one in ours]
    assert brief == [(one.column, one.success, one.unexpected_count, one.first) for one in expected]
    assert sum(not success for _, success, _, _ in brief) > 4

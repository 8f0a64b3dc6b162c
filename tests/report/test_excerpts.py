"""Which rollouts are shown, and what is shown of them."""

from pathlib import Path

import pytest

from stages.report import __main__ as report
from stages.report.excerpts import choose
from tests.world import (
    CONTENTS,
    World,
    make_world,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world")


def test_rollouts_of_largest_spread_are_chosen_one_a_problem(world: World) -> None:
    gains = report.read_round(world.data / "rounds/i1").gains
    problem_of = {f"i1/{name}/{sample}": name for name, sample in CONTENTS}
    assert choose(gains, problem_of, 6) == ["i1/q0/0"]
    assert choose(gains, dict.fromkeys(problem_of, "") | {"i1/q0/1": "other"}, 6) == [
        "i1/q0/0",
        "i1/q0/1",
    ]
    assert choose(gains, dict.fromkeys(problem_of, "") | {"i1/q0/1": "other"}, 1) == ["i1/q0/0"]

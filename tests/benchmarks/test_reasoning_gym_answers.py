"""Which families pay for wrong answers: the committed list, and a sample measured anew."""

import pytest

from benchmarks.reasoning_gym_answers import families, isolated, measured
from stages.code import ROOT
from stages.running.publish import read_json
from stages.tasks.families import MISLED_FAMILIES

FIGURES = read_json(ROOT / "docs/results/reasoning_gym_answers.json")
SAMPLE = (
    "chain_sum",
    "gsm_symbolic",
    "kakurasu",
    "spell_backward",
    "tower_of_hanoi",
    "word_sorting",
)
NO_PROBLEMS = ("boxnet", "rush_hour")
"""Without a reference answer, and so without anything to change."""


def test_all_families_are_measured_and_none_pays_as_verified_here() -> None:
    assert sorted(FIGURES) == families()
    assert {name for name, figures in FIGURES.items() if not figures["num_problems"]} <= {
        *NO_PROBLEMS
    }
    assert not {name for name, figures in FIGURES.items() if figures["by_verifier"]}


def test_who_pays_by_its_own_scorer_is_misled_and_no_other() -> None:
    assert {name for name, figures in FIGURES.items() if figures["by_scorer"]} == {*MISLED_FAMILIES}


@pytest.mark.parametrize("family", SAMPLE)
def test_a_family_measured_anew_is_as_in_the_list(family: str) -> None:
    assert measured(family) == FIGURES[family]


def test_what_takes_too_long_is_killed() -> None:
    assert isolated("chain_sum", limit_seconds=0)["num_problems"] == 0

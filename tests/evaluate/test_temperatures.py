"""Success by temperature, and the choice of one, by hand."""

import pandas as pd
import pytest

from fixtures.rows import row
from stages.contracts.params.evaluate import Evaluate
from stages.contracts.tables.grades import GRADES
from stages.evaluate.exam_sums import Sums, samples_up_to, sums_of
from stages.evaluate.intervals import Intervals
from stages.evaluate.temperatures import choose, heldout_curves, success_by_temperature

INTERVALS = Intervals(Evaluate(seed=1, num_resamples=100, confidence=0.95))
WARM, COLD = 1.0, 0.35


def sums(*answers: tuple[str, str, float, int, bool]) -> Sums:
    """Of answers as problem, split, temperature, budget and whether it is right."""
    rows = []
    for problem, split, temperature, budget, is_right in answers:
        place = {"problem_id": problem, "split": split, "temperature": temperature}
        verdict = "correct" if is_right else "incorrect"
        rows.append(row(GRADES, **place, budget_tokens=budget, verdict=verdict))
    frame = pd.DataFrame(rows).astype({"temperature": "float32"})
    return sums_of(frame, samples_up_to(1))


EXAM = sums(
    ("h0", "heldout", WARM, 0, False),
    ("h0", "heldout", WARM, 8, True),
    ("h1", "heldout", WARM, 0, False),
    ("h1", "heldout", WARM, 8, False),
    ("h0", "heldout", COLD, 0, True),
    ("h0", "heldout", COLD, 8, True),
    ("h1", "heldout", COLD, 0, False),
    ("h1", "heldout", COLD, 8, True),
    ("v0", "reserved", WARM, 0, False),
    ("v0", "reserved", WARM, 8, True),
    ("v0", "reserved", COLD, 0, True),
    ("v0", "reserved", COLD, 8, False),
    ("s0", "train", COLD, 8, True),
)


@pytest.mark.parametrize(("budget", "temperature"), [(8, WARM), (0, COLD), (72, WARM)])
def test_reserved_problems_choose_at_the_budget_trained_at(budget: int, temperature: float) -> None:
    assert choose(EXAM.answers, [WARM, COLD], budget) == temperature


def test_a_temperature_that_is_not_stated_is_not_chosen() -> None:
    assert choose(EXAM.answers, [COLD], 8) == COLD
    unreserved = EXAM.answers[EXAM.answers["split"] != "reserved"]
    assert choose(unreserved, [COLD, WARM], 8) == COLD


def test_success_by_temperature_is_of_held_out_problems() -> None:
    success = success_by_temperature(EXAM, [WARM, COLD], INTERVALS)
    means = {
        temperature: [estimate["mean"] for estimate in curve.values() if estimate]
        for temperature, curve in success.items()
    }
    assert means == {"1.0": [0.0, 0.5], "0.35": [0.5, 1.0]}
    assert [*success["1.0"]] == ["budget_0", "budget_8"]
    cold = heldout_curves(EXAM.at_temperature(COLD).answers)
    assert cold[0].to_dict() == {"h0": 1.0, "h1": 0.0}

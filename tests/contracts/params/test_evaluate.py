"""Settings of intervals: what is refused."""

from pathlib import Path

from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put

MISTAKES: list[Mistake] = [
    ("few_resamples", [put("evaluate.num_resamples", 99)], ["num_resamples", "equal to 100"]),
    ("no_confidence", [put("evaluate.confidence", 0.5)], ["confidence", "greater than 0.5"]),
    ("certainty", [put("evaluate.confidence", 1.0)], ["confidence", "less than 1"]),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)

"""Cuts: what is refused, and what comes of each."""

from pathlib import Path

import pytest

from stages.contracts.params.recipes.segments import CutpointCut, FixedCut, MarkerCut, Segments
from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put

CUTPOINT = {"cut": "cutpoint", "max_prob": 0.9, "min_tokens": 2}

MISTAKES: list[Mistake] = [
    (
        "way_to_cut",
        [put("recipes.information.segments.cut", "line")],
        ["segments", "'cutpoint'", "line"],
    ),
    (
        "key_of_another_cut",
        [put("recipes.information.segments", {"cut": "marker", "num_tokens": 4})],
        ["segments.marker", "no key named num_tokens"],
    ),
    (
        "certain_cutpoint",
        [put("recipes.information.segments", {**CUTPOINT, "max_prob": 1.0})],
        ["segments.cutpoint.max_prob", "less than 1"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)


@pytest.mark.parametrize(
    ("segments", "finds_attempts", "max_tokens"),
    [
        (MarkerCut(cut="marker"), True, None),
        (FixedCut(cut="fixed", num_tokens=4), False, 4),
        (CutpointCut(**CUTPOINT), False, None),
    ],
)
def test_traits_by_hand(segments: Segments, finds_attempts: bool, max_tokens: int | None) -> None:
    assert (segments.finds_attempts, segments.max_tokens) == (finds_attempts, max_tokens)

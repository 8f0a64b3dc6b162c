"""A round: what is refused."""

from pathlib import Path

from tests.contracts.params.mistakes import ABSENT, Edit, Mistake, assert_refused, each_mistake, put

MISTAKES: list[Mistake] = [
    ("seed_too_large", [put("rounds.i1.seed", 2**31)], ["rounds.i1.seed", "less than"]),
    ("no_reference", [put("rounds.i1.reference", ABSENT)], ["rounds.i1.reference", "required"]),
    ("parent_by_no_name", [put("rounds.i1.parent", "1")], ["rounds.i1.parent", "pattern"]),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)

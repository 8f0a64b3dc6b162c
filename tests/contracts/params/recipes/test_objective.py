"""Objectives: what is refused; each has the keys it uses and no other."""

from pathlib import Path

from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put

MISTAKES: list[Mistake] = [
    (
        "objective",
        [put("recipes.information.update.objective.name", "info")],
        ["update.objective", "'information'", "info"],
    ),
    (
        "objective_without_its_keys",
        [put("recipes.information.update.objective", "information")],
        ["update.objective", "valid dictionary"],
    ),
    (
        "credit_baseline",
        [put("recipes.information.update.objective.credit_baseline", "td")],
        ["update.objective.information.credit_baseline", "'group_mean'", "td"],
    ),
    (
        "objective_without_a_key_of_its_own",
        [put("recipes.information.update.objective", {"name": "offline", "gain": "progress"})],
        ["update.objective.offline.keep_frac", "Field required"],
    ),
    (
        "key_of_another_objective",
        [put("recipes.information.update.objective.keep_frac", 0.5)],
        ["update.objective.information", "no key named keep_frac", "'alpha'", "'gain'"],
    ),
    (
        "negative_alpha",
        [put("recipes.information.update.objective.alpha", -1.0)],
        ["update.objective.information.alpha", "equal to 0"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)

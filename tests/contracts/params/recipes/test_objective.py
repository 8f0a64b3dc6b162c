"""Objectives: what is refused; each has the keys it uses and no other."""

from pathlib import Path

from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put
from tests.update.by_hand import OBJECTIVES

ANYTIME = OBJECTIVES["anytime"]
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
        "discount_of_all_that_follows",
        [put("recipes.information.update.objective.credit_discount", 0.0)],
        ["update.objective.information.credit_discount", "greater than 0"],
    ),
    (
        "credit_scale",
        [put("recipes.information.update.objective.credit_scale", "batch")],
        ["update.objective.information.credit_scale", "'round'", "batch"],
    ),
    (
        "prior",
        [put("recipes.information.update.objective", {**ANYTIME, "prior": {"kind": "log"}})],
        ["update.objective.anytime.prior", "'stated'", "log"],
    ),
    (
        "prior_of_no_budget",
        [
            put(
                "recipes.information.update.objective",
                {**ANYTIME, "prior": {"kind": "stated", "weights": {}}},
            )
        ],
        ["update.objective.anytime.prior.stated.weights", "at least 1"],
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

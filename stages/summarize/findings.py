"""What the rules find in rows of numbers."""

from collections.abc import Sequence
from typing import Any

from stages.pure.course.diagnosis import diagnose, fall, ratio
from stages.summarize.measured import Row

Finding = dict[str, Any]


def findings_of_chain(rows: Sequence[Row]) -> list[Finding]:
    """What is wrong with the last round of a chain; none of a chain without rounds.

    It is held against the rounds before it under the same recipe: another one samples and trains
    otherwise, so that their numbers are no course.
    """
    if not rows:
        return []
    last, course = rows[-1], under_one_recipe(rows)
    entropies = [row.get(name) for row in course for name in ("first_entropy_nats", "entropy_nats")]
    numbers = {**last, "entropy_ratio": ratio(entropies)}
    names = {name: last[name] for name in ("round", "policy", "recipe", "init")}
    known = [row for row in course if None not in (row["success"], row["success_stderr"])]
    fallen = fall([row["success"] for row in known], [row["success_stderr"] for row in known])
    if fallen is not None and known[-1] is last:
        best = known[fallen.best]
        numbers |= {"fall_p": fallen.p, "best_success": best["success"]}
        names["best_round"] = best["round"]
    return [{"round": last["round"], **one._asdict()} for one in diagnose(numbers, names)]


def findings_of_policy(row: Row) -> list[Finding]:
    """What is wrong with an examined policy; none of one that is held against no ancestor."""
    if "against" not in row:
        return []
    # Success in the exam is no success in sampling, which other rules are about.
    numbers = {name: row[name] for name in ("gain", "gain_low", "gain_high")}
    names = {name: row[name] for name in ("policy", "against", "recipe")}
    return [{"policy": row["policy"], **one._asdict()} for one in diagnose(numbers, names)]


def under_one_recipe(rows: Sequence[Row]) -> list[Row]:
    """The last of a chain's rounds and those right before it that share its recipe."""
    course: list[Row] = []
    for row in reversed(rows):
        if row["recipe"] != rows[-1]["recipe"]:
            break
        course.insert(0, row)
    return course

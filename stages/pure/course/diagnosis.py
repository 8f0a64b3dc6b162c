"""What is wrong with how a chain of rounds learns, by rule: plain numbers in, findings out.

Every rule holds one number against a threshold, of a chain's last round or of a policy's exam, and
names the key of params.yaml to turn. `docs/when-success-does-not-rise.md` is made from the table.
"""

import operator
from collections.abc import Mapping, Sequence
from math import hypot
from statistics import NormalDist
from typing import Literal, NamedTuple

Numbers = Mapping[str, float | None]
"""By name, None where it was not measured: `Rule.number` says which there are."""


class Rule(NamedTuple):
    """A number, the threshold beyond which it is a finding, what is then said, and the cure."""

    name: str
    number: str
    side: Literal["at least", "at most", "below"]
    threshold: float
    message: str
    """A format of the numbers, and of names: of a round `round`, `policy` (which sampled it),
    `best_round`, `recipe` and `init`; of an exam `policy`, `against` and `recipe`.
    """
    key: str
    """Of params.yaml; a format likewise."""
    cure: str


FALLING = Rule(
    "falling",
    "fall_p",
    "at most",
    0.05,
    "the chain is falling: success in sampling is {success:.1%} in {round}, was "
    "{best_success:.1%} in {best_round} (p = {fall_p:.2g})",
    "recipes.{recipe}.update.optimizer.learning_rate",
    "a lower learning rate; fewer `epochs`; a `kl_coefficient`; go on from the best round",
)
RULES = (
    Rule(
        "nothing_solved",
        "success",
        "at most",
        0.02,
        "{policy} solves {success:.0%} of the rollouts of {round}",
        "inits.{init}.demonstrations",
        "more demonstrations or longer SFT until the init solves some; else easier "
        "`rollout.difficulties`",
    ),
    Rule(
        "one_outcome",
        "one_outcome_frac",
        "at least",
        0.9,
        "{one_outcome_frac:.0%} of groups of {round} have one outcome: no reward tells their "
        "rollouts apart",
        "recipes.{recipe}.rollout.difficulties",
        "difficulties that are solved about half of the time; a larger `group_size`; a higher "
        "`temperature`",
    ),
    Rule(
        "unparsable",
        "unparsable_frac",
        "at least",
        0.2,
        "{unparsable_frac:.0%} of the answers of {round} cannot be read",
        "inits.{init}.demonstrations",
        "more demonstrations of the form of an answer; look at some with `knowhow tables`",
    ),
    Rule(
        "unended",
        "unended_frac",
        "at least",
        0.2,
        "{unended_frac:.0%} of the rollouts of {round} never end their answer",
        "recipes.{recipe}.rollout.answer_tokens",
        "more tokens for the answer",
    ),
    Rule(
        "repeats",
        "repeat_frac",
        "at least",
        0.5,
        "{repeat_frac:.0%} of the segments of {round} repeat an earlier one word for word",
        "recipes.{recipe}.update.repeat_penalty",
        "a price on repeated segments; a higher `rollout.temperature`",
    ),
    Rule(
        "little_trained",
        "trained_frac",
        "at most",
        0.05,
        "{trained_frac:.1%} of the tokens of {round} were trained on",
        "recipes.{recipe}.rollout.num_problems",
        "more problems a round; see why tokens are left out in column `status` of the ledger",
    ),
    Rule(
        "one_group",
        "largest_group_share",
        "at least",
        0.5,
        "one group holds {largest_group_share:.0%} of the update of {round}",
        "recipes.{recipe}.update.objective",
        "credit on the scale of the round (`credit_scale: round`); more problems; `update.limits` "
        "refuses such an update",
    ),
    Rule(
        "entropy_fell",
        "entropy_ratio",
        "at most",
        0.5,
        "entropy fell to {entropy_ratio:.0%} of what it was when this chain began with {recipe}",
        "recipes.{recipe}.update.entropy_coefficient",
        "a bonus for entropy; a lower `optimizer.learning_rate`; fewer `epochs`; a higher "
        "`rollout.temperature`",
    ),
    FALLING,
    Rule(
        "worse_in_exam",
        "gain_high",
        "below",
        0.0,
        "{policy} is worse than {against} in the exam: {gain:+.1%} [{gain_low:+.1%}, "
        "{gain_high:+.1%}]",
        "recipes.{recipe}.update.optimizer.learning_rate",
        "a lower learning rate; fewer `epochs`; rounds on the difficulties that the exam asks",
    ),
)


class Finding(NamedTuple):
    """A rule that holds: its name, what is wrong, the key to turn, and how."""

    rule: str
    message: str
    key: str
    cure: str


class Fall(NamedTuple):
    """The best of the rounds before the last, and how likely noise alone takes the last so low."""

    best: int
    p: float


def is_found(rule: Rule, numbers: Numbers) -> bool:
    """Whether the number is known, and on the wrong side of the threshold."""
    value = numbers.get(rule.number)
    if value is None:
        return False
    holds = {"at least": operator.ge, "at most": operator.le, "below": operator.lt}
    return bool(holds[rule.side](value, rule.threshold))


def diagnose(numbers: Numbers, names: Mapping[str, str]) -> list[Finding]:
    """The findings of one round or one exam, in the order of the rules."""
    known = {**names, **numbers}
    return [
        Finding(rule.name, rule.message.format(**known), rule.key.format(**names), rule.cure)
        for rule in RULES
        if is_found(rule, numbers)
    ]


def ratio(values: Sequence[float | None]) -> float | None:
    """The last known of several over the first; None without two known, or where that is 0."""
    known = [value for value in values if value is not None]
    return known[-1] / known[0] if len(known) > 1 and known[0] else None


def fall(success: Sequence[float], stderr: Sequence[float]) -> Fall | None:
    """How far the last of a chain's rounds is below the best before it; None where none is before.

    One-sided z of the difference of two means, rounds having problems of their own; the p is
    multiplied by the number of rounds before, of which the best was chosen (Bonferroni).
    """
    if len(success) < 2:
        return None
    *earlier, last = success
    best = max(range(len(earlier)), key=earlier.__getitem__)
    gap, noise = earlier[best] - last, hypot(stderr[best], stderr[-1])
    return Fall(best, fall_p(gap, noise, len(earlier)))


def fall_p(gap: float, noise: float, num_earlier: int) -> float:
    """How likely chance brings such a gap to the best of so many; `noise` is its standard error."""
    if noise == 0:
        return 0.0 if gap > 0 else 1.0
    return min(1.0, num_earlier * NormalDist().cdf(-gap / noise))

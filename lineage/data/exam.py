"""What a policy's exam says: success by level of difficulty and thinking budget, with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

from lineage.record.ancestry import Generation
from lineage.record.values import Value, Values

TRAINING_BUDGET = "report.training_budget_tokens"


@dataclass(frozen=True)
class Estimate:
    """A fraction and its interval; None for an end that is not known."""

    high: float | None
    low: float | None
    mean: float | None


@dataclass(frozen=True)
class Difference:
    """A difference of two fractions and its interval; None for an end that is not known."""

    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Level:
    """The problems of a level of difficulty, or `all`."""

    num_problems: int
    success: Mapping[str, Estimate | None]
    """By budget in thinking tokens, fewest first; None where there is no estimate."""


@dataclass(frozen=True)
class Exam:
    """One exam."""

    budget_tokens: str
    """The budget to look at first: that of training, else the largest."""
    levels: Mapping[str, Level]

    @property
    def success(self) -> Estimate | None:
        """Success over all problems at the budget to look at first."""
        return self.levels["all"].success.get(self.budget_tokens)


def exam_of(generation: Generation) -> Exam | None:
    """A policy's exam; None where it has none."""
    levels = {}
    for name, metrics in (generation.exam or {}).items():
        if isinstance(metrics, Mapping) and isinstance(metrics.get("success"), Mapping):
            levels[name] = _level(metrics)
    budgets = sorted({int(budget) for level in levels.values() for budget in level.success})
    if not budgets:
        return None
    trained_at = generation.steps["evaluate"].params.get(TRAINING_BUDGET)
    return Exam(str(trained_at if trained_at in budgets else budgets[-1]), levels)


def difference_of(value: Value, sign: int) -> Difference | None:
    """A difference as comparisons have it; turned round where `sign` is -1."""
    if not isinstance(value, Mapping):
        return None
    mean, low, high = (_number(value.get(end)) for end in ("mean", "low", "high"))
    if sign == 1:
        return Difference(mean, low, high)
    return Difference(*(None if end is None else -end for end in (mean, high, low)))


def by_budget(values: Values) -> dict[str, Value]:
    """Values by budget in tokens, fewest first; `budget_72` is how metrics name one."""
    named = {}
    for name, value in values.items():
        if name.startswith("budget_"):
            named[name.removeprefix("budget_")] = value
    return dict(sorted(named.items(), key=lambda pair: int(pair[0])))


def _level(metrics: Values) -> Level:
    success, num_problems = metrics["success"], metrics["num_problems"]
    assert isinstance(success, Mapping)
    assert isinstance(num_problems, int)
    estimates = {budget: estimate_of(value) for budget, value in by_budget(success).items()}
    return Level(num_problems, estimates)


def estimate_of(value: Value) -> Estimate | None:
    """An estimate as metrics have it."""
    if not isinstance(value, Mapping):
        return None
    high, low, mean = (_number(value.get(end)) for end in ("high", "low", "mean"))
    return Estimate(high, low, mean)


def _number(value: Value) -> float | None:
    return value if isinstance(value, float | int) else None

"""Whether a night's policy may become champion: gates decide that, drift only warns.

Reads what the stages wrote: the expectations' results, the paired comparison of the two exams, and
their metrics.
"""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.nights.night import portable
from flows.nights.settings import Settings
from flows.project import yaml_text
from flows.project.paths import DATA, EXAMS, PARAMS

COMPARISONS = DATA / "report" / "comparisons.json"
ROUNDS = DATA / "rounds"
UPDATES = DATA / "metrics" / "updates"
ALL = "all"
BY_DIFFICULTY = "difficulty_"
CLEAN, LEAKING = 0, 1
"""Exit codes of the audit."""

Interval = dict[str, float | None]
"""A difference: `low`, `mean` and `high`, null where it was not measured."""


@dataclass(frozen=True)
class Gate:
    """One condition, whether it holds, and the numbers that say so."""

    name: str
    is_passed: bool
    why: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Drift:
    """A number that should stay within limits; null where it was not measured."""

    name: str
    value: float | None
    low: float | None
    high: float | None

    @property
    def is_within(self) -> bool:
        """Whether it does."""
        if self.value is None:
            return False
        return (self.low or 0.0) <= self.value <= (self.high or float("inf"))

    def __str__(self) -> str:
        limits = [f"{limit:g}" for limit in (self.low, self.high) if limit is not None]
        bound = "at least " if self.high is None else "at most " if self.low is None else ""
        value = "not measured" if self.value is None else f"{self.value:.4g}"
        return f"{self.name} is {value}, should be {bound}{' to '.join(limits)}"


def gates(policy: str, champion: str, settings: Settings) -> list[Gate]:
    """All gates of a policy against the champion. Their stages have run."""
    measured = differences(policy, champion)
    return [
        expectations(policy),
        leaks(policy, settings),
        regression(measured, settings.max_regression),
        gain(measured, settings.min_gain),
    ]


def expectations(policy: str) -> Gate:
    """Every expectation of the round's tables was met.

    Where one is not, the round ends before this gate.
    """
    validation = json.loads((ROUNDS / policy / "validation.json").read_text(encoding="utf-8"))
    met: list[bool] = []
    for table in validation["tables"].values():
        met += [bool(expectation["success"]) for expectation in table["expectations"]]
    why = f"{sum(met)} of {len(met)} expectations met"
    numbers = {"num_met": sum(met), "num_expectations": len(met)}
    return Gate("expectations", bool(validation["success"]), why, numbers)


def leaks(policy: str, settings: Settings) -> Gate:
    """No exam problem is in any ancestor's training data, as the audit proves.

    Without a proof the gate is shut.
    """
    command = [sys.executable, "-m", "lineage", "leaks", policy, "--json"]
    deadline = settings.deadline_seconds
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=deadline
        )
    except subprocess.TimeoutExpired:
        return Gate("leaks", False, f"the audit was not done in {deadline:g} s")
    if done.returncode == CLEAN:
        return Gate("leaks", True, "no exam problem is in any ancestor's training data")
    if done.returncode == LEAKING and done.stdout.lstrip().startswith(("{", "[")):
        why = f"exam problems are in training data; `knowhow audit leaks {policy}` names them"
        return Gate("leaks", False, why)
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    return Gate("leaks", False, f"the audit ended with {done.returncode}: {portable(last)}")


def differences(policy: str, champion: str) -> dict[str, Interval]:
    """New minus champion in success at the training budget, each at its best temperature.

    Over all problems (`all`), and on each difficulty (`difficulty_3`).
    """
    pair = json.loads(COMPARISONS.read_text(encoding="utf-8"))[f"{policy}_minus_{champion}"]
    quantity = f"budget_{_training_budget()}"
    levels = [level for level in pair if level == ALL or level.startswith(BY_DIFFICULTY)]
    return {level: pair[level][quantity] for level in levels}


def regression(differences: dict[str, Interval], max_regression: float) -> Gate:
    """On no difficulty is the policy surely worse than allowed.

    That is, no interval lies wholly below the limit.
    """
    levels, worse = {}, []
    for level, interval in differences.items():
        if level.startswith(BY_DIFFICULTY):
            levels[level] = interval
            if interval["high"] is None or interval["high"] < -max_regression:
                worse.append(f"{level} {_shown(interval)}")
    if worse:
        where = f"{len(worse)} of {len(levels)} difficulties: {'; '.join(worse)}"
        why = f"worse by more than {max_regression:g} on {where}"
    else:
        why = f"on none of {len(levels)} difficulties surely worse by more than {max_regression:g}"
    numbers = {"max_regression": max_regression, **levels}
    return Gate("regression", bool(levels) and not worse, why, numbers)


def gain(differences: dict[str, Interval], min_gain: float) -> Gate:
    """Over all problems the policy is better on average, by `min_gain` or more."""
    interval = differences[ALL]
    is_passed = interval["mean"] is not None and interval["mean"] >= min_gain
    how = "at least" if is_passed else "less than"
    why = f"over all problems {_shown(interval)}, {how} {min_gain:g}"
    return Gate("gain", is_passed, why, {"min_gain": min_gain, ALL: interval})


def drift(policy: str, champion: str, settings: Settings) -> list[Drift]:
    """How the policy behaves, against its limits."""
    limits, budget = settings.drift, f"budget_{_training_budget()}"
    new, old = (_number(EXAMS / f"{name}.json", ALL) or {} for name in (policy, champion))
    used, before = (_within(exam, "used_tokens", budget) for exam in (new, old))
    ratio = used / before if used and before else None
    false_positive = _within(new, "self_verification", "false_positive_frac", "mean")
    entropy = _number(UPDATES / f"{policy}.json", "entropy_nats", "last")
    return [
        Drift("repeat_frac", _within(new, "repeat_frac"), None, limits.max_repeat_frac),
        Drift("false_positive_frac", false_positive, None, limits.max_false_positive_frac),
        Drift("forced_frac", _within(new, "forced_frac", budget), None, limits.max_forced_frac),
        Drift("entropy_nats", entropy, limits.min_entropy_nats, None),
        Drift("used_tokens_ratio", ratio, *limits.used_tokens_ratio),
    ]


def _training_budget() -> int:
    params = yaml_text.values(PARAMS.read_text(encoding="utf-8"))
    return int(params["report"]["training_budget_tokens"])


def _number(file: Path, *keys: str) -> Any:
    return _within(json.loads(file.read_text(encoding="utf-8")), *keys)


def _within(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _shown(interval: Interval) -> str:
    low, mean, high = interval["low"], interval["mean"], interval["high"]
    if low is None or mean is None or high is None:
        return "not measured"
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"

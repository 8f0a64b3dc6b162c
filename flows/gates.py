"""Whether a night's policy may become champion: gates, which keep it from that, and drift, which only warns.

Reads what the stages wrote: the expectations' results, the paired comparison of the two exams, and their metrics.
"""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows import yaml_text
from flows.nights import portable
from flows.rounds import EXAMS, PARAMS
from flows.settings import Settings

COMPARISONS = Path("data/report/comparisons.json")
ROUNDS = Path("data/rounds")
UPDATES = Path("data/metrics/updates")
ALL = "all"
BY_DIFFICULTY = "difficulty_"
CLEAN, FOUND = 0, 1


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
        return self.value is not None and (self.low or 0.0) <= self.value <= (self.high or float("inf"))

    def __str__(self) -> str:
        limits = " to ".join(f"{limit:g}" for limit in (self.low, self.high) if limit is not None)
        bound = "" if None not in (self.low, self.high) else "at least " if self.high is None else "at most "
        value = "not measured" if self.value is None else f"{self.value:.4g}"
        return f"{self.name} is {value}, should be {bound}{limits}"


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
    """Every expectation of the round's tables was met; where one is not, the round ends before this gate."""
    found = json.loads((ROUNDS / policy / "validation.json").read_text(encoding="utf-8"))
    met = [bool(each["success"]) for table in found["tables"].values() for each in table["expectations"]]
    why = f"{sum(met)} of {len(met)} expectations met"
    return Gate("expectations", bool(found["success"]), why, {"num_met": sum(met), "num_expectations": len(met)})


def leaks(policy: str, settings: Settings) -> Gate:
    """No exam problem is in any ancestor's training data, as the audit proves. Without a proof the gate is shut."""
    command = [sys.executable, "-m", "lineage", "leaks", policy, "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=settings.deadline_seconds)
    except subprocess.TimeoutExpired:
        return Gate("leaks", False, f"the audit was not done in {settings.deadline_seconds:g} s")
    if done.returncode == CLEAN:
        return Gate("leaks", True, "no exam problem is in any ancestor's training data")
    if done.returncode == FOUND and done.stdout.lstrip().startswith(("{", "[")):
        return Gate("leaks", False, f"exam problems are in training data; `knowhow audit leaks {policy}` names them")
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    return Gate("leaks", False, f"the audit ended with {done.returncode}: {portable(last)}")


def differences(policy: str, champion: str) -> dict[str, dict[str, float | None]]:
    """New minus champion in success at the training budget: over all problems, and on each difficulty."""
    pair = json.loads(COMPARISONS.read_text(encoding="utf-8"))[f"{policy}_minus_{champion}"]
    quantity = f"budget_{_training_budget()}"
    levels = [level for level in pair if level == ALL or level.startswith(BY_DIFFICULTY)]
    return {level: pair[level][quantity] for level in levels}


def regression(differences: dict[str, dict[str, float | None]], max_regression: float) -> Gate:
    """On no difficulty is the policy surely worse than allowed: no interval lies wholly below the limit."""
    levels = {level: found for level, found in differences.items() if level.startswith(BY_DIFFICULTY)}
    worse = [level for level, found in levels.items() if found["high"] is None or found["high"] < -max_regression]
    if worse:
        shown = "; ".join(f"{level} {_interval(levels[level])}" for level in worse)
        why = f"worse by more than {max_regression:g} on {len(worse)} of {len(levels)} difficulties: {shown}"
    else:
        why = f"on none of {len(levels)} difficulties surely worse by more than {max_regression:g}"
    return Gate("regression", bool(levels) and not worse, why, {"max_regression": max_regression, **levels})


def gain(differences: dict[str, dict[str, float | None]], min_gain: float) -> Gate:
    """Over all problems the policy is better on average, by so much."""
    found = differences[ALL]
    is_passed = found["mean"] is not None and found["mean"] >= min_gain
    why = f"over all problems {_interval(found)}, {'at least' if is_passed else 'less than'} {min_gain:g}"
    return Gate("gain", is_passed, why, {"min_gain": min_gain, ALL: found})


def drift(policy: str, champion: str, settings: Settings) -> list[Drift]:
    """How the policy behaves, against its limits."""
    limits, budget = settings.drift, f"budget_{_training_budget()}"
    new, old = (_number(EXAMS / f"{name}.json", ALL) or {} for name in (policy, champion))
    used, before = _within(new, "used_tokens", budget), _within(old, "used_tokens", budget)
    false_positive = _within(new, "self_verification", "false_positive_frac", "mean")
    entropy = _number(UPDATES / f"{policy}.json", "entropy_nats", "last")
    return [
        Drift("repeat_frac", _within(new, "repeat_frac"), None, limits.max_repeat_frac),
        Drift("false_positive_frac", false_positive, None, limits.max_false_positive_frac),
        Drift("forced_frac", _within(new, "forced_frac", budget), None, limits.max_forced_frac),
        Drift("entropy_nats", entropy, limits.min_entropy_nats, None),
        Drift("used_tokens_ratio", used / before if used and before else None, *limits.used_tokens_ratio),
    ]


def _training_budget() -> int:
    return int(yaml_text.values(PARAMS.read_text(encoding="utf-8"))["report"]["training_budget_tokens"])


def _number(file: Path, *keys: str) -> Any:
    return _within(json.loads(file.read_text(encoding="utf-8")), *keys)


def _within(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _interval(found: dict[str, float | None]) -> str:
    low, mean, high = (found[key] for key in ("low", "mean", "high"))
    return "not measured" if low is None or mean is None or high is None else f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"

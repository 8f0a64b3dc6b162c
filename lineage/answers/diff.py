"""What two policies differ by: params, code, packages, rows, rewards, exam. They may stand in different commits."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lineage.answers import changes
from lineage.data import contents
from lineage.data.exam import exam_of
from lineage.record.ancestry import Generation, ancestry
from lineage.record.audit import Audit
from lineage.record.errors import AuditError
from lineage.record.graph import policy_file
from lineage.telling import difftext
from lineage.telling.difftext import text
from lineage.telling.page import fill

__all__ = ["diff", "page", "text"]

EXAM_STEPS = ("examine", "evaluate")


def diff(first: Audit, earlier: str, second: Audit, later: str) -> dict[str, Any]:
    """What the second policy has otherwise than the first.

    Raises:
        AuditError: there is no such policy.
    """
    before, after = ancestry(first.tree, earlier, first.graph), ancestry(second.tree, later, second.graph)
    chains = changes.chain(before), changes.chain(after)
    read: dict[Any, Any] = {}
    readers = contents.Reader.of(first, earlier, read), contents.Reader.of(second, later, read)
    last = before[-1], after[-1]
    return {
        "before": _side(first, last[0]),
        "after": _side(second, last[1]),
        "is_equal": last[0].md5 == last[1].md5,
        "policies": _policies(before, after),
        "params": changes.params(first, second, *chains),
        "code": changes.code(readers[0].steps, readers[1].steps, second.tree, [side.commit for side in last]),
        "environment": changes.environment(first, second, last),
        "data": contents.tables(*readers),
        "rewards": contents.rewards(readers[0], chains[0], readers[1], chains[1]),
        "exam": _exam(first, second, last),
    }


def _side(audit: Audit, generation: Generation) -> dict[str, Any]:
    return {
        "policy": generation.policy,
        "revision": audit.tree.commit,
        "commit": generation.commit,
        "md5": generation.md5,
    }


def _policies(before: Sequence[Generation], after: Sequence[Generation]) -> dict[str, list[str]]:
    """Ancestors, and the policies themselves: the same bytes on both sides, and those of one side."""
    then, now = ({side.md5: side.policy for side in sides} for sides in (before, after))
    return {
        "shared": [policy for md5, policy in now.items() if md5 in then],
        "only_before": [policy for md5, policy in then.items() if md5 not in now],
        "only_after": [policy for md5, policy in now.items() if md5 not in then],
    }


def _exam(first: Audit, second: Audit, last: changes.Pair) -> dict[str, Any]:
    """Success of both by level and budget, and the paired difference where `compare` took it."""
    exams = [exam_of(side) for side in last]
    missing = [side.policy for side, exam in zip(last, exams, strict=True) if exam is None]
    taken = None if missing else _differences(first, second, last)
    levels: dict[str, dict[str, Any]] = {}
    for name, exam in zip(("before", "after"), exams, strict=True):
        for level, told in exam["levels"].items() if exam else ():
            for budget, estimate in told["success"].items():
                levels.setdefault(level, {}).setdefault(budget, _nothing())[name] = estimate
    for level, budgets in (taken or {}).items():
        for budget, estimate in budgets.items():
            levels.setdefault(level, {}).setdefault(budget, _nothing())["difference"] = estimate
    return {
        "missing": missing,
        "is_same_exam": None if missing else _asked(last[0]) == _asked(last[1]),
        "is_paired": taken is not None,
        "budget_tokens": next((exam["budget_tokens"] for exam in reversed(exams) if exam), None),
        "levels": levels,
    }


def _nothing() -> dict[str, Any]:
    return {"before": None, "after": None, "difference": None}


def _asked(generation: Generation) -> Any:
    """What an exam was: its problems, its settings, its judge."""
    steps = [step for name, step in generation.steps.items() if name in EXAM_STEPS]
    given = {step.flags.get(flag) for step in steps for flag in ("problems", "judge")}
    return {(dep.path, dep.md5) for step in steps for dep in step.deps if dep.path in given}, [
        params for step in steps for key, params in step.params.items() if key in ("exam", "task")
    ]


def _differences(first: Audit, second: Audit, last: changes.Pair) -> dict[str, dict[str, Any]] | None:
    """Later minus earlier by level and budget, of a tree that compared these two; None where none did."""
    earlier, later = last
    for audit in (second, first):
        made = {name: policy_file(step).md5 for name, step in audit.graph.policies.items()}
        if earlier.policy == later.policy or any(made.get(side.policy) != side.md5 for side in last):
            continue
        found = _comparisons(audit)
        for after, before, sign in ((later, earlier, 1), (earlier, later, -1)):
            if pair := found.get(f"{after.policy}_minus_{before.policy}"):
                return {level: _signed(quantities, sign) for level, quantities in pair.items()}
    return None


def _comparisons(audit: Audit) -> Mapping[str, Any]:
    """Every comparison of a tree, by its name."""
    for step in audit.graph.steps.values():
        if file := step.written("comparisons"):
            try:
                return json.loads(audit.tree.read(file.path))
            except FileNotFoundError:
                break
            except ValueError as error:
                raise AuditError(f"{file.path} is not JSON ({error}); `dvc repro {step.name}` makes it anew") from None
    return {}


def _signed(quantities: Mapping[str, Any], sign: int) -> dict[str, Any]:
    """Differences by budget; turned round where the policies were compared the other way round."""
    named = {name.removeprefix("budget_"): told for name, told in quantities.items() if name.startswith("budget_")}
    ends = ("low", "high") if sign == 1 else ("high", "low")
    return {
        budget: {"mean": sign * told["mean"], "low": sign * told[ends[0]], "high": sign * told[ends[1]]}
        for budget, told in sorted(named.items(), key=lambda pair: int(pair[0]))
    }


def page(found: Mapping[str, Any]) -> str:
    """The answer as one HTML file."""
    taken = [entry["difference"] for level in found["exam"]["levels"].values() for entry in level.values()]
    widest = max((abs(told[end]) for told in taken if told for end in ("low", "high")), default=0.0)
    return fill("diff.html.j2", found=found, heads=difftext.headlines(found), widest=widest or 1.0, told=difftext)

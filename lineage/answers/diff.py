"""What two policies differ by: params, code, packages, rows, rewards, exam. Of any two commits."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lineage.answers import changes
from lineage.data import contents
from lineage.data.exam import Difference, Estimate, Exam, by_budget, difference_of, exam_of
from lineage.record.ancestry import Generation, ancestry
from lineage.record.audit import Audit
from lineage.record.errors import AuditError
from lineage.record.flags import EXAM_STEPS, Flag
from lineage.record.graph import policy_file
from lineage.record.values import Value, Values, section


@dataclass(frozen=True)
class Side:
    """One of the two policies."""

    policy: str
    revision: str
    commit: str | None
    md5: str


@dataclass(frozen=True)
class Policies:
    """Ancestors, and the policies themselves: those of both sides, and those of one."""

    shared: list[str]
    only_before: list[str]
    only_after: list[str]


@dataclass(frozen=True)
class Cell:
    """Success at one level and budget; None for what is not known."""

    before: Estimate | None = None
    after: Estimate | None = None
    difference: Difference | None = None
    """Later minus earlier, in pairs of the same problem."""


@dataclass(frozen=True)
class ExamDifference:
    """Success of both, and the paired difference where `compare` took it."""

    missing: list[str]
    """Policies without an exam."""
    is_same_exam: bool | None
    is_paired: bool
    budget_tokens: str | None
    """The budget to look at first."""
    levels: Mapping[str, Mapping[str, Cell]]
    """By level and budget."""


@dataclass(frozen=True)
class Diff:
    """What the second policy has otherwise than the first."""

    before: Side
    after: Side
    is_equal: bool
    policies: Policies
    params: list[changes.ParamDifference]
    code: changes.CodeDifference
    environment: changes.EnvironmentDifference
    data: list[contents.TableDifference | contents.UnknownTable]
    rewards: list[contents.RoundPair]
    exam: ExamDifference


def diff(first: Audit, earlier: str, second: Audit, later: str) -> Diff:
    """What the second policy has otherwise than the first.

    Raises:
        AuditError: there is no such policy.
    """
    before = ancestry(first.tree, earlier, first.graph)
    after = ancestry(second.tree, later, second.graph)
    chains = changes.chain(before), changes.chain(after)
    memory = contents.Memory()
    readers = (
        contents.Reader.of(first, earlier, memory),
        contents.Reader.of(second, later, memory),
    )
    last = before[-1], after[-1]
    commits = [side.commit for side in last]
    return Diff(
        before=_side(first, last[0]),
        after=_side(second, last[1]),
        is_equal=last[0].md5 == last[1].md5,
        policies=_policies(before, after),
        params=changes.params(first, second, *chains),
        code=changes.code(readers[0].steps, readers[1].steps, second.tree, commits),
        environment=changes.environment(first, second, last),
        data=contents.table_differences(*readers),
        rewards=contents.reward_pairs(readers[0], chains[0], readers[1], chains[1]),
        exam=_exam(first, second, last),
    )


def _side(audit: Audit, generation: Generation) -> Side:
    return Side(generation.policy, audit.tree.commit, generation.commit, generation.md5)


def _policies(before: Sequence[Generation], after: Sequence[Generation]) -> Policies:
    then = {side.md5: side.policy for side in before}
    now = {side.md5: side.policy for side in after}
    return Policies(
        shared=[policy for md5, policy in now.items() if md5 in then],
        only_before=[policy for md5, policy in then.items() if md5 not in now],
        only_after=[policy for md5, policy in now.items() if md5 not in then],
    )


def _exam(first: Audit, second: Audit, last: changes.Pair) -> ExamDifference:
    exams = [exam_of(side) for side in last]
    missing = [side.policy for side, exam in zip(last, exams, strict=True) if exam is None]
    differences = None if missing else _differences(first, second, last)
    return ExamDifference(
        missing=missing,
        is_same_exam=None if missing else _premises(last[0]) == _premises(last[1]),
        is_paired=differences is not None,
        budget_tokens=next((exam.budget_tokens for exam in reversed(exams) if exam), None),
        levels=_levels(exams[0], exams[1], differences or {}),
    )


def _levels(
    before: Exam | None, after: Exam | None, differences: Mapping[str, Mapping[str, Difference]]
) -> dict[str, dict[str, Cell]]:
    levels: dict[str, dict[str, Cell]] = {}
    for level, budget, estimate in _estimates(before):
        levels.setdefault(level, {})[budget] = Cell(before=estimate)
    for level, budget, estimate in _estimates(after):
        cells = levels.setdefault(level, {})
        cells[budget] = replace(cells.get(budget, Cell()), after=estimate)
    for level, budgets in differences.items():
        cells = levels.setdefault(level, {})
        for budget, difference in budgets.items():
            cells[budget] = replace(cells.get(budget, Cell()), difference=difference)
    return levels


def _estimates(exam: Exam | None) -> Iterable[tuple[str, str, Estimate | None]]:
    for name, level in exam.levels.items() if exam else ():
        for budget, estimate in level.success.items():
            yield name, budget, estimate


def _premises(generation: Generation) -> tuple[set[tuple[str, str]], dict[str, list[Value]]]:
    """What an exam was: its problems, its judge, its settings, whichever of its steps read them."""
    files: set[tuple[str, str]] = set()
    settings: dict[str, list[Value]] = {"exam": [], "task": []}
    for name, step in generation.steps.items():
        if name in EXAM_STEPS:
            given = {step.flags.get(flag) for flag in (Flag.PROBLEMS, Flag.JUDGE)}
            files |= {(dep.path, dep.md5) for dep in step.deps if dep.path in given}
            for key, values in settings.items():
                if key in step.params and step.params[key] not in values:
                    values.append(step.params[key])
    return files, settings


def _differences(
    first: Audit, second: Audit, last: changes.Pair
) -> dict[str, dict[str, Difference]] | None:
    """Later minus earlier by level and budget, of a tree that compared these two; else None."""
    earlier, later = last
    for audit in (second, first):
        md5s = {name: policy_file(step).md5 for name, step in audit.graph.policies.items()}
        is_here = all(md5s.get(side.policy) == side.md5 for side in last)
        if earlier.policy == later.policy or not is_here:
            continue
        comparisons = _comparisons(audit)
        for after, before, sign in ((later, earlier, 1), (earlier, later, -1)):
            if pair := section(comparisons, f"{after.policy}_minus_{before.policy}"):
                return {level: _signed(section(pair, level), sign) for level in pair}
    return None


def _comparisons(audit: Audit) -> Values:
    """Every comparison of a tree, by its name."""
    for step in audit.graph.steps.values():
        if file := step.written(Flag.COMPARISONS):
            try:
                return json.loads(audit.tree.read(file.path))
            except FileNotFoundError:
                break
            except ValueError as error:
                raise AuditError(
                    f"{file.path} is not JSON ({error}); `dvc repro {step.name}` makes it anew"
                ) from None
    return {}


def _signed(quantities: Values, sign: int) -> dict[str, Difference]:
    """Differences by budget; turned round where the policies were compared the other way round."""
    differences = {}
    for budget, value in by_budget(quantities).items():
        if difference := difference_of(value, sign):
            differences[budget] = difference
    return differences

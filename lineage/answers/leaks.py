"""Whether an exam problem is in what a policy, its ancestors or their judges were trained on.

Exam problems are those that some exam asked as held-out, and those that the problems table holds
out or reserves: both, as either may have been rewritten. Train problems that an exam asks on
purpose, to measure memorisation, are none. Held against them is what was really trained on: the
problems that demonstrations and rollouts name, their prompts, and the prompt tokens of rollouts
wherever they are another prompt's. Besides, all problems that a next round may draw.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lineage.data.likeness import MIN_JACCARD, Neighbours, canonical
from lineage.data.prompts import HELD_OUT, Reader, TrainedPrompt, exam_problems
from lineage.data.training import Source, checkpoints, sources
from lineage.record.audit import Audit
from lineage.record.errors import Finding

EXACT, CANONICAL, NEAR = "exact", "canonical", "near-duplicate"
WHAT = {
    EXACT: "the same problem or the same text",
    CANONICAL: "a rewriting of it",
    NEAR: f"the same numbers and at least {MIN_JACCARD:.0%} of the pairs of words",
}
POOL = "problems to draw from"


@dataclass(frozen=True)
class TrainingTable:
    """A table that was trained on, or drawn from."""

    table: str
    of: str
    """What it trained."""
    num_rows: int
    num_prompts: int


@dataclass(frozen=True)
class NearComparisons:
    """Longer prompts held against each other word by word."""

    num_compared: int
    num_exam_problems: int
    num_families: int
    """Exam problems that are nearly the same as another."""


@dataclass(frozen=True)
class Comparisons:
    """Different prompts that were held against the exam's, by each check."""

    exact: int
    canonical: int
    near: NearComparisons = field(metadata={"name": NEAR})


@dataclass(frozen=True)
class Leak:
    """A prompt that is an exam problem."""

    check: str
    exam_problem: str
    trained: TrainedPrompt = field(metadata={"inline": True})


@dataclass(frozen=True)
class Leaks:
    """What was compared, and what leaked."""

    policy: str
    commit: str
    num_exam_problems: int
    tables: list[TrainingTable]
    comparisons: Comparisons
    leaks: list[Leak]
    unknown: list[str]
    """Checkpoints from elsewhere, whose training data is not known here."""
    findings: list[Finding]


class Exam:
    """What must not be trained on."""

    def __init__(self, prompts: Mapping[str, str | None]) -> None:
        known = {name: prompt for name, prompt in prompts.items() if prompt is not None}
        self.names = prompts.keys()
        self.by_text = {prompt: name for name, prompt in known.items()}
        self.by_form = {canonical(prompt): name for name, prompt in known.items()}
        self.neighbours = Neighbours(known)
        self._matches: dict[str, tuple[str, str] | None] = {}

    def match(self, trained: TrainedPrompt) -> tuple[str, str] | None:
        """How a prompt is an exam problem, and which; None where it is none."""
        if trained.problem_id in self.names:
            return EXACT, trained.problem_id
        if trained.prompt is None:
            return None
        if trained.prompt not in self._matches:
            self._matches[trained.prompt] = self._match(trained.prompt)
        return self._matches[trained.prompt]

    def comparisons(self) -> Comparisons:
        """How many prompts were held against it."""
        num_prompts, near = len(self._matches), self.neighbours
        nearly = NearComparisons(near.num_compared, near.num_prompts, near.num_families)
        return Comparisons(num_prompts, num_prompts, nearly)

    def _match(self, prompt: str) -> tuple[str, str] | None:
        if prompt in self.by_text:
            return EXACT, self.by_text[prompt]
        form = canonical(prompt)
        if form in self.by_form:
            return CANONICAL, self.by_form[form]
        near = self.neighbours.find(prompt)
        return (NEAR, near) if near else None


def leaks(audit: Audit, policy: str) -> Leaks:
    """Hold every prompt that trained the policy against every exam problem.

    Raises:
        AuditError: no exam problem is known, or a table is nowhere or is none.
    """
    trained_on, reader = sources(audit.graph, policy), Reader(audit.store)
    prompts = exam_problems(audit, trained_on, reader)
    exam = Exam(prompts)
    leaked: dict[tuple[str, str], list[Leak]] = defaultdict(list)
    odd: dict[tuple[str, str], list[TrainedPrompt]] = defaultdict(list)
    num_prompts, num_rows = Counter[str](), Counter[str]()
    for trained in _all(trained_on, reader):
        num_prompts[trained.table] += 1
        num_rows[trained.table] += trained.num_rows
        if match := exam.match(trained):
            leaked[match[0], trained.table].append(Leak(*match, trained))
        if trained.is_other:
            odd["prompt of another problem", trained.table].append(trained)
        elif trained.prompt is None:
            odd["unknown problem", trained.table].append(trained)
    unknown = [name for name, prompt in prompts.items() if prompt is None]
    return Leaks(
        policy=policy,
        commit=audit.tree.commit,
        num_exam_problems=len(prompts),
        tables=_tables(trained_on, num_rows, num_prompts),
        comparisons=exam.comparisons(),
        leaks=[leak for of_table in leaked.values() for leak in of_table],
        unknown=checkpoints(audit.graph, policy),
        findings=[
            *(_leak(check, table, those) for (check, table), those in leaked.items()),
            *(_odd(check, table, those) for (check, table), those in odd.items()),
            *_unknown(unknown),
        ],
    )


def _all(trained_on: Sequence[Source], reader: Reader) -> Iterator[TrainedPrompt]:
    read = set()
    for source in trained_on:
        if source.table not in read:  # a judge reads what a round was trained on
            yield from reader.trained(source)
        read.add(source.table)
    for problems in {source.problems.md5: source.problems for source in trained_on}.values():
        catalogue = reader.catalogue(problems)
        for name, split in catalogue.splits.items():
            if split not in HELD_OUT:
                prompt = catalogue.prompts[name]
                yield TrainedPrompt(POOL, problems.path, name, 1, name, prompt)


def _tables(
    trained_on: Sequence[Source], num_rows: Mapping[str, int], num_prompts: Mapping[str, int]
) -> list[TrainingTable]:
    tables = {source.table.path: source.generation for source in trained_on}
    tables |= {source.problems.path: POOL for source in trained_on}
    counted = []
    for path, of in tables.items():
        counted.append(TrainingTable(path, of, num_rows[path], num_prompts[path]))
    return counted


def _leak(check: str, table: str, leaked: Sequence[Leak]) -> Finding:
    first, name = leaked[0].trained, leaked[0].exam_problem
    num_rows = sum(leak.trained.num_rows for leak in leaked)
    num_problems = len({leak.exam_problem for leak in leaked})
    is_pool = first.generation == POOL
    where = "that a next round may draw" if is_pool else f"that trained {first.generation}"
    return Finding(
        f"{check} leak",
        table,
        f"{num_problems} exam problem(s) in {num_rows} row(s) {where}; first row {first.row} of "
        f"{first.problem_id} asks {first.prompt!r}, which is exam problem {name} ({WHAT[check]}); "
        "take it out and train anew from there",
    )


def _odd(check: str, table: str, prompts: Sequence[TrainedPrompt]) -> Finding:
    first, num_rows = prompts[0], sum(prompt.num_rows for prompt in prompts)
    if first.prompt is None:
        what = f"of problems that no table has; first row {first.row} of {first.problem_id}"
    else:
        what = f"ask what their problem does not; first row {first.row}: {first.prompt!r}"
    return Finding(check, table, f"{num_rows} row(s) {what}; `dvc repro` makes the table anew")


def _unknown(names: Sequence[str]) -> list[Finding]:
    if not names:
        return []
    message = (
        f"{len(names)} exam problem(s) stand in no table of problems, so nothing could be held "
        "against their prompts"
    )
    return [Finding("unknown exam problem", names[0], message)]

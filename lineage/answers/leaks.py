"""Whether an exam problem is in the training data of a policy, of its ancestors, or of a judge that rewarded them.

Exam problems are those that some exam asked as held-out, and those that the problems table holds out: both, as either
may have been rewritten. Train problems that an exam asks on purpose, to measure memorisation, are none.
Held against them is what was really trained on: the problems that demonstrations and rollouts name, their prompts, and
the prompt tokens of rollouts wherever they are another prompt's. Besides, all problems that a next round may draw.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lineage.data.likeness import MIN_JACCARD, Neighbours, canonical
from lineage.data.prompts import HELDOUT, Asked, Reader, exam_problems
from lineage.data.training import Source, checkpoints, sources
from lineage.record.audit import Audit
from lineage.record.errors import Finding
from lineage.telling.words import count

EXACT, CANONICAL, NEAR = "exact", "canonical", "near-duplicate"
WHAT = {
    EXACT: "the same problem or the same text",
    CANONICAL: "a rewriting of it",
    NEAR: f"the same numbers and at least {MIN_JACCARD:.0%} of the pairs of words",
}
POOL = "problems to draw from"


class Exam:
    """What must not be trained on."""

    def __init__(self, prompts: Mapping[str, str | None]) -> None:
        known = {name: prompt for name, prompt in prompts.items() if prompt is not None}
        self.names = prompts.keys()
        self.by_text = {prompt: name for name, prompt in known.items()}
        self.by_form = {canonical(prompt): name for name, prompt in known.items()}
        self.neighbours = Neighbours(known)
        self._found: dict[str, tuple[str, str] | None] = {}

    def match(self, asked: Asked) -> tuple[str, str] | None:
        """How a prompt is an exam problem, and which; None where it is none."""
        if asked.problem_id in self.names:
            return EXACT, asked.problem_id
        if asked.prompt is None:
            return None
        if asked.prompt not in self._found:
            self._found[asked.prompt] = self._match(asked.prompt)
        return self._found[asked.prompt]

    @property
    def num_prompts(self) -> int:
        """Different prompts that were held against it."""
        return len(self._found)

    def _match(self, prompt: str) -> tuple[str, str] | None:
        if prompt in self.by_text:
            return EXACT, self.by_text[prompt]
        form = canonical(prompt)
        if form in self.by_form:
            return CANONICAL, self.by_form[form]
        near = self.neighbours.find(prompt)
        return (NEAR, near) if near else None


def leaks(audit: Audit, policy: str) -> dict[str, Any]:
    """Hold every prompt that trained the policy against every exam problem.

    Raises:
        AuditError: no exam problem is known, or a table is nowhere or is none.
    """
    given, reader = sources(audit.graph, policy), Reader(audit.store)
    prompts = exam_problems(audit, given, reader)
    exam = Exam(prompts)
    leaked: dict[tuple[str, str], list[tuple[Asked, str]]] = defaultdict(list)
    odd: dict[tuple[str, str], list[Asked]] = defaultdict(list)
    tables = {source.table.path: source.generation for source in given}
    tables |= {source.problems.path: POOL for source in given}
    num_prompts, num_rows = Counter[str](), Counter[str]()
    for asked in _all(given, reader):
        num_prompts[asked.table] += 1
        num_rows[asked.table] += asked.num_rows
        if found := exam.match(asked):
            leaked[found[0], asked.table].append((asked, found[1]))
        if asked.is_other:
            odd["prompt of another problem", asked.table].append(asked)
        elif asked.prompt is None:
            odd["unknown problem", asked.table].append(asked)
    findings = [_leak(check, table, found) for (check, table), found in leaked.items()]
    findings += [_odd(check, table, found) for (check, table), found in odd.items()]
    findings += _unknown([name for name, prompt in prompts.items() if prompt is None])
    return {
        "policy": policy,
        "commit": audit.tree.commit,
        "num_exam_problems": len(prompts),
        "tables": [
            {"table": path, "of": of, "num_rows": num_rows[path], "num_prompts": num_prompts[path]}
            for path, of in tables.items()
        ],
        "comparisons": _comparisons(exam),
        "leaks": [_told(check, *pair) for (check, _), found in leaked.items() for pair in found],
        "unknown": checkpoints(audit.graph, policy),
        "findings": [asdict(finding) for finding in findings],
    }


def text(found: Mapping[str, Any]) -> RenderableType:
    """What was compared and what was found, for people."""
    shown = Table("training data", "of", box=None, pad_edge=False, padding=(0, 1))
    shown.add_column("rows", justify="right")
    shown.add_column("prompts", justify="right")
    for table in found["tables"]:
        shown.add_row(table["table"], table["of"], count(table["num_rows"]), count(table["num_prompts"]))
    near, num_prompts = found["comparisons"][NEAR], found["comparisons"][EXACT]
    lines = [
        f"{count(found['num_exam_problems'])} exam problems held against {count(num_prompts)} different prompts: by "
        f"id, by text, by canonical text; {count(near['num_compared'])} pairs of longer prompts word by word",
    ]
    if near["num_families"]:
        lines.append(
            f"{count(near['num_families'])} exam problems are as like to one another as near-duplicates are: "
            "of those, canonical text alone tells"
        )
    lines += [f"not known here: what trained the checkpoint that {told}" for told in found["unknown"]]
    if not found["findings"]:
        lines.append(f"no exam problem is in what trained {found['policy']}")
    findings = [Text(str(Finding(**finding)), "red") for finding in found["findings"]]
    return Group(shown, Text(), *map(Text, lines), *findings)


def _all(given: list[Source], reader: Reader) -> Iterator[Asked]:
    read = set()
    for source in given:
        if (source.table.path, source.table.md5) not in read:  # a judge reads what a round was trained on
            yield from reader.trained(source)
        read.add((source.table.path, source.table.md5))
    for problems in {source.problems.md5: source.problems for source in given}.values():
        catalogue = reader.catalogue(problems)
        for name, split in catalogue.splits.items():
            if split != HELDOUT:
                yield Asked(POOL, problems.path, name, 1, name, catalogue.prompts[name])


def _comparisons(exam: Exam) -> dict[str, Any]:
    near = exam.neighbours
    return {
        EXACT: exam.num_prompts,
        CANONICAL: exam.num_prompts,
        NEAR: {
            "num_compared": near.num_compared,
            "num_exam_problems": near.num_prompts,
            "num_families": near.num_families,
        },
    }


def _told(check: str, asked: Asked, exam_problem: str) -> dict[str, Any]:
    return {"check": check, "exam_problem": exam_problem, **asked._asdict()}


def _leak(check: str, table: str, found: list[tuple[Asked, str]]) -> Finding:
    (first, name), num_rows = found[0], sum(asked.num_rows for asked, _ in found)
    num_problems = len({name for _, name in found})
    where = "that a next round may draw" if first.generation == POOL else f"that trained {first.generation}"
    return Finding(
        f"{check} leak",
        table,
        f"{num_problems} exam problem(s) in {num_rows} row(s) {where}; first row {first.row} of {first.problem_id} "
        f"asks {first.prompt!r}, which is exam problem {name} ({WHAT[check]}); take it out and train anew from there",
    )


def _odd(check: str, table: str, found: list[Asked]) -> Finding:
    first, num_rows = found[0], sum(asked.num_rows for asked in found)
    if first.prompt is None:
        said = f"{num_rows} row(s) of problems that no table has; first row {first.row} of {first.problem_id}"
    else:
        said = f"{num_rows} row(s) ask what their problem does not; first row {first.row}: {first.prompt!r}"
    return Finding(check, table, f"{said}; `dvc repro` makes the table anew")


def _unknown(names: list[str]) -> list[Finding]:
    if not names:
        return []
    message = (
        f"{len(names)} exam problem(s) stand in no table of problems, so nothing could be held against their prompts"
    )
    return [Finding("unknown exam problem", names[0], message)]

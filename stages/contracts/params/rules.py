"""What holds between the sections of params.yaml, as rules over those that are right in themselves.

A rule tells every place that breaks it, so that one check of the file names all there is to mend.
Where a section is wrong in itself its entries are left out, and the rules hold of the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from stages.contracts.params.base import variants
from stages.contracts.params.exam import Exam, ExamEntry
from stages.contracts.params.inits.init import Init
from stages.contracts.params.inits.model import ModelShape
from stages.contracts.params.judge import Judge
from stages.contracts.params.recipes.probe import Probe
from stages.contracts.params.recipes.recipe import Recipe
from stages.contracts.params.report import Report
from stages.contracts.params.round import Round
from stages.contracts.params.task import TaskParams
from stages.contracts.policy_tree import ancestors
from stages.contracts.verdict import EXACT


class Broken(NamedTuple):
    """A key that breaks a rule, by its dotted way; empty for the whole file."""

    key: str
    why: str


@dataclass(frozen=True)
class Sections:
    """The sections that are right in themselves; `names` has those of all entries, wrong or not."""

    names: Mapping[str, Sequence[str]]
    task: TaskParams | None
    inits: Mapping[str, Init]
    recipes: Mapping[str, Recipe]
    judges: Mapping[str, Judge]
    rounds: Mapping[str, Round]
    exam: Exam | None
    exams: Mapping[str, ExamEntry]
    report: Report | None


def broken(sections: Sections) -> Iterator[Broken]:
    """Every key that breaks a rule."""
    for rule in (_names, _references, _circles, _difficulties, _problems, _rooms, _exam, _task):
        yield from rule(sections)


def _names(sections: Sections) -> Iterator[Broken]:
    names = sections.names
    for both in sorted({*names["inits"]} & {*names["rounds"]}):
        yield Broken("", f"{both} is the name of an init and of a round; rename one")
    if EXACT in names["judges"]:
        why = "this name stands for the task's own verifier; rename the judge"
        yield Broken(f"judges.{EXACT}", why)


def _references(sections: Sections) -> Iterator[Broken]:
    names = sections.names
    policies, judges = [*names["inits"], *names["rounds"]], [EXACT, *names["judges"]]
    recipes = sorted(names["recipes"])
    for name, entry in sections.rounds.items():
        others = [policy for policy in policies if policy != name]
        yield from _known(f"rounds.{name}.recipe", entry.recipe, recipes, "recipe")
        for key in ("parent", "reference"):
            named = getattr(entry, key)
            if named != name:  # a circle, which its own rule tells
                yield from _known(f"rounds.{name}.{key}", named, others, "policy")
        yield from _known(f"rounds.{name}.judge", entry.judge, judges, "judge")
    for name, judge in sections.judges.items():
        yield from _known(f"judges.{name}.base", judge.base, policies, "policy")
        yield from _known(f"judges.{name}.round", judge.round, names["rounds"], "round")
    for name, exam in sections.exams.items():
        yield from _known("exams", name, policies, "policy")
        yield from _known(f"exams.{name}.judge", exam.judge, judges, "judge")


def _known(key: str, name: str, choices: Sequence[str], kind: str) -> Iterator[Broken]:
    if name not in choices:
        yield Broken(key, f"no {kind} named {name}; choose from {list(choices)}")


def _circles(sections: Sections) -> Iterator[Broken]:
    rounds = sections.rounds
    needs = {name: [entry.parent, entry.reference, entry.judge] for name, entry in rounds.items()}
    needs |= {name: [judge.base, judge.round] for name, judge in sections.judges.items()}
    for name in rounds:
        try:
            ancestors(rounds, name)
        except ValueError as error:
            key, _, why = str(error).partition(": ")
            yield Broken(key, why)
            return
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        yield Broken("", f"rounds and judges need each other: {circle}")


def _difficulties(sections: Sections) -> Iterator[Broken]:
    if sections.task is None:
        return
    known = sections.task.difficulties
    named = {
        f"recipes.{name}.rollout.difficulties": recipe.rollout.difficulties
        for name, recipe in sections.recipes.items()
    } | {
        f"inits.{name}.demonstrations.difficulty_weights": [
            *(init.demonstrations.difficulty_weights or {})
        ]
        for name, init in sections.inits.items()
    }
    for key, difficulties in named.items():
        for missing in sorted(set(difficulties) - set(known)):
            yield Broken(key, f"task.tiers has no difficulty {missing}; choose from {known}")


def _problems(sections: Sections) -> Iterator[Broken]:
    """A round draws without replacement: its recipe cannot ask for more than there are to train."""
    if sections.task is None:
        return
    num_train = [tier.num_train for tier in sections.task.tiers]
    sizes = dict(zip(sections.task.difficulties, num_train, strict=True))
    for name, recipe in sections.recipes.items():
        rollout = recipe.rollout
        there = sum(sizes.get(difficulty, 0) for difficulty in {*rollout.difficulties})
        if rollout.num_problems > there and {*rollout.difficulties} <= {*sizes}:
            why = (
                f"{rollout.num_problems} problems of difficulties {rollout.difficulties}, and "
                f"task.tiers ask for {there} to train on; ask for fewer, or raise num_train"
            )
            yield Broken(f"recipes.{name}.rollout.num_problems", why)


def _rooms(sections: Sections) -> Iterator[Broken]:
    if sections.task is None:
        return
    rooms = {}
    if sections.exam is not None:
        rooms["exam"] = sections.exam.answer_tokens, sections.task.difficulties
    for name, recipe in sections.recipes.items():
        difficulties = recipe.rollout.difficulties
        rooms[f"recipes.{name}.rollout"] = recipe.rollout.answer_tokens, difficulties
        if recipe.probe.sampled_tokens is not None:
            rooms[f"recipes.{name}.probe"] = recipe.probe.sampled_tokens, difficulties
    for where, (room, named) in rooms.items():
        there = {*named} & {*sections.task.difficulties}
        needed = max(map(sections.task.shortest_answer_tokens, there), default=0)
        if room < needed:
            why = (
                f"{room} cannot hold an answer to difficulty {max(there)}, which takes "
                f"{needed}; raise it, or leave that difficulty out"
            )
            yield Broken(f"{where}.answer_tokens", why)


def _exam(sections: Sections) -> Iterator[Broken]:
    exam, report = sections.exam, sections.report
    if exam is None:
        return
    if report is not None and report.training_budget_tokens not in exam.budgets_tokens:
        budget, budgets = report.training_budget_tokens, exam.budgets_tokens
        why = f"the exam has no budget {budget}; choose from {budgets}"
        yield Broken("report.training_budget_tokens", why)
    longest = exam.budgets_tokens[-1] + exam.answer_tokens
    for name, init in sections.inits.items():
        if isinstance(init.model, ModelShape) and longest >= init.model.max_positions:
            why = (
                f"{init.model.max_positions} positions hold no prompt beside the exam's longest "
                f"budget and answer ({longest} tokens)"
            )
            yield Broken(f"inits.{name}.model.max_positions", why)


def _task(sections: Sections) -> Iterator[Broken]:
    task = sections.task
    if task is None:
        return
    for name, init in sections.inits.items():
        if task.needs_checkpoint and isinstance(init.model, ModelShape):
            why = "task.text of kind chat needs a checkpoint; name one, or use trained"
            yield Broken(f"inits.{name}.model", why)
        strategy, known = init.demonstrations.strategy, task.strategies
        if strategy not in known:
            why = f"task {task.name} has no demonstrations of {strategy}; choose from {list(known)}"
            yield Broken(f"inits.{name}.demonstrations.strategy", why)
    others = [name for name, probe in variants(Probe).items() if not probe.needs_all_answers]
    for name, recipe in sections.recipes.items():
        if recipe.probe.needs_all_answers and not task.lists_solutions:
            why = (
                f"task {task.name} cannot enumerate its correct answers, which "
                f"{recipe.probe.estimator} needs; choose from {others}"
            )
            yield Broken(f"recipes.{name}.probe.estimator", why)

"""All of params.yaml, checked before anything runs: each section, and what holds between them.

Class defaults do not exist on purpose: what a run used is what the file says. A step reads its own
sections alone (`stages.contracts.params.base`); stage `code`, before every step, checks the
whole.

Example: python -m stages.contracts.params.whole
"""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from stages.contracts.params.base import Name, Section, checked, read_file, variants
from stages.contracts.params.compute.compute import Compute
from stages.contracts.params.evaluate import Evaluate
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
from stages.running import holding
from stages.running.errors import command


class Params(Section):
    """The whole of params.yaml."""

    task: TaskParams
    compute: Compute
    inits: Annotated[dict[Name, Init], Field(min_length=1)]
    recipes: dict[Name, Recipe]
    judges: dict[Name, Judge]
    rounds: dict[Name, Round]
    exam: Exam
    exams: Annotated[dict[Name, ExamEntry], Field(min_length=1)]
    evaluate: Evaluate
    report: Report

    @model_validator(mode="after")
    def _names_resolve(self) -> "Params":
        both = sorted(set(self.inits) & set(self.rounds))
        if both:
            raise ValueError(f"{both[0]} is the name of an init and of a round; rename one")
        if EXACT in self.judges:
            raise ValueError(
                f"judges.{EXACT}: this name stands for the task's own verifier; rename the judge"
            )
        policies, judges = [*self.inits, *self.rounds], [EXACT, *self.judges]
        for name, entry in self.rounds.items():
            _known(f"rounds.{name}.recipe", entry.recipe, sorted(self.recipes), "recipe")
            _known(f"rounds.{name}.parent", entry.parent, policies, "policy")
            _known(f"rounds.{name}.reference", entry.reference, policies, "policy")
            _known(f"rounds.{name}.judge", entry.judge, judges, "judge")
        for name, judge in self.judges.items():
            _known(f"judges.{name}.base", judge.base, policies, "policy")
            _known(f"judges.{name}.round", judge.round, list(self.rounds), "round")
        for name, exam in self.exams.items():
            _known("exams", name, policies, "policy")
            _known(f"exams.{name}.judge", exam.judge, judges, "judge")
        self._need_no_circle()
        return self

    def _need_no_circle(self) -> None:
        needs = {
            name: [entry.parent, entry.reference, entry.judge]
            for name, entry in self.rounds.items()
        }
        needs |= {name: [judge.base, judge.round] for name, judge in self.judges.items()}
        for name in self.rounds:
            ancestors(self.rounds, name)
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            raise ValueError(
                f"rounds and judges need each other: {' -> '.join(error.args[1])}"
            ) from None

    @model_validator(mode="after")
    def _difficulties_exist(self) -> "Params":
        known = self.task.difficulties
        difficulties_by_key = {
            f"recipes.{name}.rollout.difficulties": r.rollout.difficulties
            for name, r in self.recipes.items()
        }
        for name, init in self.inits.items():
            if init.demonstrations.difficulty_weights:
                difficulties_by_key[f"inits.{name}.demonstrations.difficulty_weights"] = list(
                    init.demonstrations.difficulty_weights
                )
        for where, difficulties in difficulties_by_key.items():
            missing = sorted(set(difficulties) - set(known))
            if missing:
                raise ValueError(
                    f"{where}: task.tiers has no difficulty {missing[0]}; choose from {known}"
                )
        return self

    @model_validator(mode="after")
    def _answers_fit(self) -> "Params":
        rooms = {"exam": (self.exam.answer_tokens, self.task.difficulties)}
        for name, recipe in self.recipes.items():
            rooms[f"recipes.{name}.rollout"] = (
                recipe.rollout.answer_tokens,
                recipe.rollout.difficulties,
            )
            if recipe.probe.sampled_tokens is not None:
                rooms[f"recipes.{name}.probe"] = (
                    recipe.probe.sampled_tokens,
                    recipe.rollout.difficulties,
                )
        for where, (room, difficulties) in rooms.items():
            needed = max(map(self.task.shortest_answer_tokens, difficulties))
            if room < needed:
                raise ValueError(
                    f"{where}.answer_tokens: {room} cannot hold an answer to difficulty "
                    f"{max(difficulties)}, which takes {needed}; raise it, or leave that "
                    "difficulty out"
                )
        return self

    @model_validator(mode="after")
    def _exam_fits(self) -> "Params":
        budget, budgets = self.report.training_budget_tokens, self.exam.budgets_tokens
        if budget not in budgets:
            raise ValueError(
                f"report.training_budget_tokens: the exam has no budget {budget}; choose from "
                f"{budgets}"
            )
        longest = self.exam.budgets_tokens[-1] + self.exam.answer_tokens
        for name, init in self.inits.items():
            if isinstance(init.model, ModelShape) and longest >= init.model.max_positions:
                raise ValueError(
                    f"inits.{name}.model.max_positions: {init.model.max_positions} positions hold "
                    f"no prompt beside the exam's longest budget and answer ({longest} tokens)"
                )
        return self

    @model_validator(mode="after")
    def _task_serves(self) -> "Params":
        for name, init in self.inits.items():
            if self.task.needs_checkpoint and isinstance(init.model, ModelShape):
                raise ValueError(
                    f"inits.{name}.model: task.text of kind chat needs a checkpoint; name one, or "
                    "use trained"
                )
            strategy, known = init.demonstrations.strategy, self.task.strategies
            if strategy not in known:
                raise ValueError(
                    f"inits.{name}.demonstrations.strategy: task {self.task.name} has no "
                    f"demonstrations of {strategy}; choose from {list(known)}"
                )
        for name, recipe in self.recipes.items():
            if recipe.probe.needs_all_answers and not self.task.lists_solutions:
                probes = variants(Probe).items()
                others = [other for other, probe in probes if not probe.needs_all_answers]
                raise ValueError(
                    f"recipes.{name}.probe.estimator: task {self.task.name} cannot enumerate its "
                    f"correct answers, which {recipe.probe.estimator} needs; choose from {others}"
                )
        return self


def _known(where: str, name: str, choices: list[str], kind: str) -> None:
    if name not in choices:
        raise ValueError(f"{where}: no {kind} named {name}; choose from {choices}")


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        BadInput: names every offending key, its value and the reason.
    """
    value = read_file(path)
    holding.note(str(path), value, lambda: read_file(path))
    params: Params = checked(path, value, Params)
    return params


def main(params_file: Path = Path("params.yaml")) -> None:
    """Check params.yaml without running anything."""
    load(params_file)


if __name__ == "__main__":
    command(main)

"""params.yaml as frozen models: every number of an experiment, checked before anything runs.

Class defaults do not exist on purpose: what a run used is what the file says.
"""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from stages.contracts.compute_params import Compute
from stages.contracts.errors import BadInput
from stages.contracts.init_params import Init, Judge, ModelShape
from stages.contracts.recipe_params import ESTIMATORS, AnswerEntropy, ForcedAnswer, Recipe, Round
from stages.contracts.task_params import (
    ENUMERABLE_TASKS,
    STRATEGIES,
    ChatText,
    Count,
    Name,
    Positive,
    Section,
    Seed,
    TaskParams,
)

EXACT = "exact"


class Exam(Section):
    """The held-out exam, the same for every policy: one long sample gives the whole budget curve."""

    seed: Seed
    num_samples: Count
    budgets_tokens: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    answer_tokens: Count
    temperature: Positive
    shard_rollouts: Count
    num_seen: Annotated[int, Field(ge=0)]
    """Problems of the train split asked beside the held-out ones, of each difficulty, to measure memorisation."""

    @model_validator(mode="after")
    def _budgets_rise(self) -> "Exam":
        if sorted(set(self.budgets_tokens)) != self.budgets_tokens:
            raise ValueError(f"budgets_tokens must rise strictly, not {self.budgets_tokens}")
        return self


class ExamEntry(Section):
    """An exam that one policy sits. `judge` chooses among its samples in best-of-n: `exact`, or a judge of `judges`."""

    judge: Name


class Evaluate(Section):
    """Intervals by bootstrap over problems."""

    seed: Seed
    num_resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class Report(Section):
    """What the page shows beside the curves."""

    num_rollouts: Count
    training_budget_tokens: Count


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
            raise ValueError(f"judges.{EXACT}: this name stands for the task's own verifier; rename the judge")
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
        needs = {name: [entry.parent, entry.reference, entry.judge] for name, entry in self.rounds.items()}
        needs |= {name: [judge.base, judge.round] for name, judge in self.judges.items()}
        for name in self.rounds:
            self.ancestors(name)
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            raise ValueError(f"rounds and judges need each other: {' -> '.join(error.args[1])}") from None

    @model_validator(mode="after")
    def _difficulties_exist(self) -> "Params":
        known = self.task.difficulties
        asked = {f"recipes.{name}.rollout.difficulties": r.rollout.difficulties for name, r in self.recipes.items()}
        for name, init in self.inits.items():
            if init.demonstrations.difficulty_weights:
                asked[f"inits.{name}.demonstrations.difficulty_weights"] = list(init.demonstrations.difficulty_weights)
        for where, difficulties in asked.items():
            missing = sorted(set(difficulties) - set(known))
            if missing:
                raise ValueError(f"{where}: task.tiers has no difficulty {missing[0]}; choose from {known}")
        return self

    @model_validator(mode="after")
    def _answers_fit(self) -> "Params":
        rooms = {"exam": (self.exam.answer_tokens, self.task.difficulties)}
        for name, recipe in self.recipes.items():
            rooms[f"recipes.{name}.rollout"] = (recipe.rollout.answer_tokens, recipe.rollout.difficulties)
            if isinstance(recipe.probe, ForcedAnswer | AnswerEntropy):
                rooms[f"recipes.{name}.probe"] = (recipe.probe.answer_tokens, recipe.rollout.difficulties)
        for where, (room, difficulties) in rooms.items():
            needed = max(map(self.task.shortest_answer_tokens, difficulties))
            if room < needed:
                raise ValueError(
                    f"{where}.answer_tokens: {room} cannot hold an answer to difficulty {max(difficulties)}, which "
                    f"takes {needed}; raise it, or leave that difficulty out"
                )
        return self

    @model_validator(mode="after")
    def _exam_fits(self) -> "Params":
        budget, asked = self.report.training_budget_tokens, self.exam.budgets_tokens
        if budget not in asked:
            raise ValueError(f"report.training_budget_tokens: the exam has no budget {budget}; choose from {asked}")
        longest = self.exam.budgets_tokens[-1] + self.exam.answer_tokens
        for name, init in self.inits.items():
            if isinstance(init.model, ModelShape) and longest >= init.model.max_positions:
                raise ValueError(
                    f"inits.{name}.model.max_positions: {init.model.max_positions} positions hold no prompt beside the "
                    f"exam's longest budget and answer ({longest} tokens)"
                )
        return self

    @model_validator(mode="after")
    def _task_serves(self) -> "Params":
        text = getattr(self.task, "text", None)
        for name, init in self.inits.items():
            if isinstance(text, ChatText) and isinstance(init.model, ModelShape):
                raise ValueError(
                    f"inits.{name}.model: task.text of kind chat needs a checkpoint; name one, or use trained"
                )
            strategy, known = init.demonstrations.strategy, STRATEGIES[self.task.name]
            if strategy not in known:
                raise ValueError(
                    f"inits.{name}.demonstrations.strategy: task {self.task.name} has no demonstrations of {strategy}; "
                    f"choose from {known}"
                )
        for name, recipe in self.recipes.items():
            estimator = recipe.probe.estimator
            if estimator == "set_likelihood" and self.task.name not in ENUMERABLE_TASKS:
                others = [other for other in ESTIMATORS if other != "set_likelihood"]
                raise ValueError(
                    f"recipes.{name}.probe.estimator: task {self.task.name} cannot enumerate its correct answers, "
                    f"which set_likelihood needs; choose from {others}"
                )
        return self

    def ancestors(self, policy: str) -> list[str]:
        """The policy's line from itself to its init.

        Raises:
            ValueError: the line comes back to itself.
        """
        line = [policy]
        while line[-1] in self.rounds:
            parent = self.rounds[line[-1]].parent
            if parent in line:
                raise ValueError(f"rounds.{policy}.parent: circular: {' -> '.join([*line, parent])}")
            line.append(parent)
        return line


def _known(where: str, name: str, choices: list[str], kind: str) -> None:
    if name not in choices:
        raise ValueError(f"{where}: no {kind} named {name}; choose from {choices}")


class _OnceLoader(yaml.SafeLoader):
    """YAML in which a key may stand once in its mapping: of two the first would silently be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, refusing a key that comes again."""
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.MarkedYAMLError(problem=f"key {key.value} stands twice", problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        BadInput: names every offending key, its value and the reason.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_OnceLoader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise BadInput(f"{path} is missing; run from the repository's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not valid YAML: {error}") from None
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise BadInput(_explain(path, error)) from None


def _explain(path: Path, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        value = "" if isinstance(problem["input"], dict | list) else f" (found {problem['input']!r})"
        lines.append(f"  {where}: {problem['msg'].removeprefix('Value error, ')}{value}")
    return f"{path}: {len(lines)} problem(s); mend and run again:\n" + "\n".join(lines)


if __name__ == "__main__":
    from stages.contracts.errors import command

    def main(params_file: Path = Path("params.yaml")) -> None:
        """Check params.yaml without running anything."""
        load(params_file)

    command(main)

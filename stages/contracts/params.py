"""params.yaml as frozen models: every number of an experiment, checked before anything runs.

Class defaults do not exist on purpose: what a run used is what the file says.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from stages.contracts.errors import BadInput
from stages.contracts.task_params import (
    Count,
    CountdownDemonstrations,
    Demonstrations,
    Fraction,
    Name,
    Positive,
    Section,
    Seed,
    TaskParams,
)

HEAD_SIZE_STEP = 32


class ModelShape(Section):
    """A Llama-architecture decoder trained from random weights."""

    hidden_size: Count
    intermediate_size: Count
    num_layers: Count
    num_heads: Count
    max_positions: Count

    @model_validator(mode="after")
    def _heads_fit(self) -> "ModelShape":
        if self.hidden_size % (self.num_heads * HEAD_SIZE_STEP):
            raise ValueError(
                f"hidden_size {self.hidden_size} over num_heads {self.num_heads} must be a multiple of "
                f"{HEAD_SIZE_STEP}, which vLLM's attention needs"
            )
        return self


class LossWeights(Section):
    """Weight of a token's loss in SFT, by what the token is."""

    attempt: Annotated[float, Field(ge=0)]
    verdict: Annotated[float, Field(ge=0)]
    answer: Annotated[float, Field(ge=0)]


class AdamW(Section):
    """One optimizer's settings; gradients are clipped to `max_grad_norm`."""

    learning_rate: Positive
    betas: tuple[Fraction, Fraction] = Field(strict=False)
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Positive


class Sft(Section):
    """Supervised fine-tuning: cosine decay after a linear warm-up."""

    epochs: Count
    batch_tokens: Count
    row_tokens: Count
    warmup_frac: Fraction
    final_learning_rate_frac: Fraction
    loss_weights: LossWeights
    optimizer: AdamW


class Init(Section):
    """An initial policy: what it is shown, what it is, how it is trained."""

    seed: Seed
    demonstrations: Demonstrations
    model: ModelShape
    sft: Sft


class Rollout(Section):
    """Sampling of one round. Thinking is cut at `budget_tokens` and the answer forced, never scored unfinished."""

    num_problems: Count
    difficulties: Annotated[list[int], Field(min_length=1)]
    group_size: Annotated[int, Field(ge=2)]
    budget_tokens: Count
    answer_tokens: Count
    temperature: Positive
    shard_rollouts: Count


class SetLikelihood(Section):
    """Success at a boundary = probability of the whole set of correct answers, exactly."""

    estimator: Literal["set_likelihood"]
    micro_batch_tokens: Count


class ForcedAnswer(Section):
    """Success at a boundary = share of correct answers among `num_probes` sampled ones."""

    estimator: Literal["forced_answer"]
    num_probes: Annotated[int, Field(ge=2)]
    answer_tokens: Count
    temperature: Positive


Probe = Annotated[SetLikelihood | ForcedAnswer, Field(discriminator="estimator")]


class Update(Section):
    """One round's policy update: PPO clip on per-token advantages."""

    objective: Literal["outcome", "information"]
    alpha: Annotated[float, Field(ge=0)]
    credit: Literal["myopic"]
    credit_baseline: Literal["none", "group_mean"]
    normalize_by_std: bool
    std_epsilon: Positive
    mask_truncated: bool
    clip_low: Fraction
    clip_high: Positive
    epochs: Count
    minibatches_per_epoch: Count
    micro_batch_tokens: Count
    optimizer: AdamW


class Recipe(Section):
    """How one round samples, probes and learns."""

    rollout: Rollout
    probe: Probe
    update: Update


class Round(Section):
    """One pass of the loop: the policy it starts from, the recipe, and the seed of its draws."""

    parent: Name
    recipe: Name
    seed: Seed


class Exam(Section):
    """The held-out exam, the same for every policy: one long sample gives the whole budget curve."""

    seed: Seed
    num_samples: Count
    budgets_tokens: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    answer_tokens: Count
    temperature: Positive
    shard_rollouts: Count

    @model_validator(mode="after")
    def _budgets_rise(self) -> "Exam":
        if sorted(set(self.budgets_tokens)) != self.budgets_tokens:
            raise ValueError(f"budgets_tokens must rise strictly, not {self.budgets_tokens}")
        return self


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
    inits: Annotated[dict[Name, Init], Field(min_length=1)]
    recipes: dict[Name, Recipe]
    rounds: dict[Name, Round]
    exam: Exam
    exams: Annotated[list[Name], Field(min_length=1)]
    evaluate: Evaluate
    report: Report

    @model_validator(mode="after")
    def _names_resolve(self) -> "Params":
        both = sorted(set(self.inits) & set(self.rounds))
        if both:
            raise ValueError(f"{both[0]} is the name of an init and of a round; rename one")
        policies = [*self.inits, *self.rounds]
        for name, entry in self.rounds.items():
            if entry.recipe not in self.recipes:
                raise ValueError(
                    f"rounds.{name}.recipe: no recipe named {entry.recipe}; choose from {sorted(self.recipes)}"
                )
            if entry.parent not in policies:
                raise ValueError(f"rounds.{name}.parent: no policy named {entry.parent}; choose from {policies}")
            self.ancestors(name)
        for name in self.exams:
            if name not in policies:
                raise ValueError(f"exams: no policy named {name}; choose from {policies}")
        return self

    @model_validator(mode="after")
    def _difficulties_exist(self) -> "Params":
        known = self.task.difficulties
        asked = {f"recipes.{name}.rollout.difficulties": r.rollout.difficulties for name, r in self.recipes.items()}
        for name, init in self.inits.items():
            if isinstance(init.demonstrations, CountdownDemonstrations):
                asked[f"inits.{name}.demonstrations.difficulty_weights"] = list(init.demonstrations.difficulty_weights)
        for where, difficulties in asked.items():
            missing = sorted(set(difficulties) - set(known))
            if missing:
                raise ValueError(f"{where}: task.tiers has no difficulty {missing[0]}; choose from {known}")
        return self

    @model_validator(mode="after")
    def _exam_fits(self) -> "Params":
        budget, asked = self.report.training_budget_tokens, self.exam.budgets_tokens
        if budget not in asked:
            raise ValueError(f"report.training_budget_tokens: the exam has no budget {budget}; choose from {asked}")
        longest = self.exam.budgets_tokens[-1] + self.exam.answer_tokens
        for name, init in self.inits.items():
            if longest >= init.model.max_positions:
                raise ValueError(
                    f"inits.{name}.model.max_positions: {init.model.max_positions} positions hold no prompt beside the "
                    f"exam's longest budget and answer ({longest} tokens)"
                )
        return self

    @model_validator(mode="after")
    def _task_serves(self) -> "Params":
        strategy = {"countdown": "revise", "reasoning_gym": "direct"}[self.task.name]
        for name, init in self.inits.items():
            if init.demonstrations.strategy != strategy:
                raise ValueError(
                    f"inits.{name}.demonstrations.strategy: task {self.task.name} has no demonstrations of "
                    f"{init.demonstrations.strategy}; choose from ['{strategy}']"
                )
        for name, recipe in self.recipes.items():
            if self.task.name == "reasoning_gym" and recipe.probe.estimator == "set_likelihood":
                raise ValueError(
                    f"recipes.{name}.probe.estimator: task reasoning_gym cannot enumerate its correct answers, "
                    "which set_likelihood needs; choose from ['forced_answer']"
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

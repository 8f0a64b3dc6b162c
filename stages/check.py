"""Check all that params.yaml and its task's source can tell before anything is drawn or trained.

Reads   params.yaml; where problems come from outside, the user's file or class, or the family.
Writes  nothing.
Method  The problems are drawn as `prepare` draws them, and of each init some demonstrations: what
        an estimator, a strategy or a model's positions would be refused for by a later stage is
        refused here, all at once.

Example: env PYTHONHASHSEED=0 python -m stages.check
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from stages.contracts.params.base import read_section
from stages.contracts.params.inits.init import Init
from stages.contracts.params.inits.model import Checkpoint, ModelShape
from stages.contracts.params.task import TaskParams
from stages.contracts.params.whole import Params, load
from stages.contracts.render import Renderer
from stages.running.errors import BadInput, command
from stages.tasks.formats import load_format
from stages.tasks.sources import load_source
from stages.tasks.task import Problem, Source
from stages.verifiers.references import reference_verdicts
from stages.verifiers.registry import need_verifier


def main(params_file: Path = Path("params.yaml")) -> None:
    """Check params.yaml and its task's source without running anything."""
    try:
        settings = load(params_file)
    except BadInput as error:
        task = _right_task(params_file)
        faults = _draw(task)[1] if task else []
        raise BadInput("\n".join([str(error), *(f"  {fault}" for fault in faults)])) from None
    wrong = list(_other_checkpoints(settings))
    drawn, faults = _draw(settings.task)
    wrong += faults
    if drawn:
        source, problems = drawn
        wrong += [*_unlisted(settings, source, problems), *_unfit(settings, source, problems)]
    if wrong:
        listed = "\n".join(f"  {problem}" for problem in wrong)
        raise BadInput(f"{params_file}: {len(wrong)} problem(s); mend and run again:\n{listed}")


def _right_task(params_file: Path) -> TaskParams | None:
    """The task, where its section is right and only others are wrong."""
    try:
        task: TaskParams = read_section(params_file, "task", TaskParams)
    except BadInput:
        return None
    return task


def _draw(task: TaskParams) -> tuple[tuple[Source, list[Problem]] | None, list[str]]:
    """The source and its problems as `prepare` draws them, and what is wrong with them."""
    try:
        need_verifier(task)
        source = load_source(task, partial(reference_verdicts, task))
        return (source, list(source.problems())), []
    except BadInput as error:
        return None, [each.strip() for each in f"\n{error}".split("\nparams.yaml ") if each.strip()]


def _other_checkpoints(settings: Params) -> Iterator[str]:
    """Inits whose folder is not the checkpoint that they mean; the hub is not asked."""
    for name, init in settings.inits.items():
        if isinstance(init.model, Checkpoint):
            from stages.engines.checkpoints import find_checkpoint  # imports torch

            try:
                find_checkpoint(init.model)
            except BadInput as error:
                yield f"inits.{name}.model: {error}"


def _unlisted(settings: Params, source: Source, problems: Sequence[Problem]) -> Iterator[str]:
    """Recipes whose estimator needs every correct answer, of a class that lists none."""
    for name, recipe in settings.recipes.items():
        if recipe.probe.needs_all_answers and not source.solutions(problems[0]):
            yield (
                f"recipes.{name}.probe.estimator: {recipe.probe.estimator} needs every correct "
                f"answer, and {problems[0].problem_id} has none listed; give the class a method "
                "`solutions`, or choose answer_likelihood"
            )


def _unfit(settings: Params, source: Source, problems: Sequence[Problem]) -> Iterator[str]:
    """Inits that cannot be shown what they are to learn, or have no positions for it."""
    for name, init in settings.inits.items():
        try:
            shown = _demonstrations(init, source, problems)
        except BadInput as error:
            yield f"inits.{name}.demonstrations: {error}"
            continue
        if isinstance(init.model, ModelShape):
            yield from _too_long(settings, name, init.model, problems, shown)


def _demonstrations(
    init: Init, source: Source, problems: Sequence[Problem]
) -> list[tuple[str, str]]:
    """The prompt and the text of each demonstration, as stage `demonstrate` writes them."""
    train = {each.problem_id: each for each in problems if each.split == "train"}
    shown = source.demonstrations([*train.values()], init.demonstrations, init.seed)
    return [(train[demo.problem_id].prompt, demo.text) for demo in shown]


def _too_long(
    settings: Params,
    init: str,
    model: ModelShape,
    problems: Sequence[Problem],
    demonstrations: Sequence[tuple[str, str]],
) -> Iterator[str]:
    """A model whose positions do not hold its longest demonstration, or prompt and completion."""
    form = load_format(settings.task)
    prompts = [each.prompt for each in problems if each.split == "train"]
    texts = [text for _, text in demonstrations]
    renderer = Renderer.made_here(form.tokenizer([*prompts, *texts]), form.prompting)
    sizes = {each.prompt: len(renderer.prompt_tokens(each.prompt)) for each in problems}
    wanted = {
        "demonstration": 1 + max(sizes[a] + len(renderer.encode(b)) for a, b in demonstrations)
    }
    cue, exam = len(renderer.cue_tokens(form)), settings.exam
    wanted["prompt, thinking and answer of the exam"] = (
        max(sizes.values()) + exam.budgets_tokens[-1] + cue + exam.answer_tokens
    )
    for recipe in {entry.recipe for entry in settings.rounds.values()}:
        rollout = settings.recipes[recipe].rollout
        asked = [p for p in problems if p.split == "train" and p.difficulty in rollout.difficulties]
        prompt = max(sizes[problem.prompt] for problem in asked)
        wanted[f"prompt, thinking and answer of recipe {recipe}"] = (
            prompt + rollout.budget_tokens + cue + rollout.answer_tokens
        )
    longest = max(wanted, key=wanted.__getitem__)
    if wanted[longest] > model.max_positions:
        yield (
            f"inits.{init}.model.max_positions: {model.max_positions} positions cannot hold the "
            f"{wanted[longest]} tokens of the longest {longest}; raise it to {wanted[longest]}"
        )


if __name__ == "__main__":
    command(main)

"""Hugging Face model card: what the policy is, how it did in its exam, what it was made of, what it is not good for."""

import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from lineage.answers.exports.origin import Origin, Success, successes
from lineage.data.weights import header
from lineage.record.ancestry import Generation

WEIGHTS = ".safetensors"
PIPELINE = "text-generation"
LIMITS = """## Limits

- Intervals are over the exam's problems. They say nothing of another training run, which may differ by more.
- Where all problems came out alike, the bootstrap's interval has no width. That is its limit, not certainty.
- It answers problems of this task, written in this task's format. Nothing else was trained or measured.
- A success is what the exam's judge calls right; how it was reached was not looked at."""


def write(origin: Origin) -> str:
    """The card: metadata between `---`, then text."""
    parts = [_intro(origin), _exam(origin), _lineage(origin), _data(origin), _use(), LIMITS, _license(origin)]
    return f"---\n{_metadata(origin).to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _metadata(origin: Origin) -> ModelCardData:
    approach = "supervised-fine-tuning" if origin.last.parent is None else "reinforcement-learning"
    return ModelCardData(
        license=origin.project.license.lower(),
        library_name="transformers",
        pipeline_tag=PIPELINE,
        model_name=f"{origin.project.name}-{origin.policy}",
        tags=[origin.project.name, approach, _task(origin)],
        metrics=["success"],
        eval_results=[_result(origin, one) for one in successes(origin.last.exam)] or None,
    )


def _result(origin: Origin, one: Success) -> EvalResult:
    return EvalResult(
        task_type=PIPELINE,
        dataset_type=_task(origin),
        dataset_name=f"{_task(origin)}, held-out",
        dataset_config=one.level,
        dataset_split="heldout",
        metric_type="success",
        metric_name=f"success within {one.budget_tokens} thinking tokens",
        metric_value=one.mean,
        metric_args={"budget_tokens": one.budget_tokens, "low": one.low, "high": one.high},
    )


def _intro(origin: Origin) -> str:
    architecture = origin.config()["architectures"][0]
    return (
        f"# {origin.project.name} {origin.policy}\n\n{origin.project.description}.\n\nA `{architecture}` of "
        f"{_num_weights(origin):,} weights, trained and examined on the task `{_task(origin)}`."
    )


def _exam(origin: Origin) -> str:
    found = successes(origin.last.exam)
    if not found:
        return "## Exam\n\nThis policy sat none."
    budgets = sorted({one.budget_tokens for one in found})
    levels = {one.level: one for one in found}
    cells = {(one.level, one.budget_tokens): f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in found}
    rows = [
        [told.slice, str(told.num_problems), *(cells.get((level, budget), "") for budget in budgets)]
        for level, told in levels.items()
    ]
    confidence = _param(origin, "evaluate")["confidence"]
    says = (
        f"Success on held-out problems by difficulty and thinking tokens allowed; in brackets {confidence:.0%} "
        f"bootstrap intervals over problems. Samples a problem: {_param(origin, 'exam')['num_samples']}."
    )
    return f"## Exam\n\n{says}\n\n" + _table(["problems", "number", *(f"{one} tokens" for one in budgets)], rows)


def _lineage(origin: Origin) -> str:
    rows = [_ancestor(generation) for generation in origin.generations]
    head = ["policy", "from", "recipe", "seed", "tokens trained on", "commit"]
    return "## Lineage\n\nOldest first.\n\n" + _table(head, rows)


def _ancestor(generation: Generation) -> list[str]:
    name, recipe = generation.policy, generation.recipe
    round_ = recipe.get(f"rounds.{name}", {})
    model = recipe.get(f"inits.{name}.model", {})
    start = f"`{generation.parent}`" if generation.parent else "random weights"
    if "checkpoint" in model:
        start = f"`{PurePosixPath(model['checkpoint']).name}` ({model['sha256']})"
    trained = generation.tokens.get("trained")
    return [
        f"`{name}`",
        start,
        str(round_.get("recipe", "demonstrations")),
        str(round_.get("seed", recipe.get(f"inits.{name}.seed", ""))),
        f"{trained:,}" if trained is not None else "",
        f"`{generation.commit[:12]}`" if generation.commit else "none yet",
    ]


def _data(origin: Origin) -> str:
    outputs = [output for flag in ("problems", "demos", "rollouts") for _, output in origin.tables(flag)]
    tables = [
        (f"{output.file.path}/{name}".rstrip("/"), f"{output.rows[name]:,}", member.sha256)
        for output in outputs
        for name, member in output.members.items()
    ]
    weights = origin.weights(origin.last)
    files = [(name, "", member.sha256) for name, member in weights.members.items()]
    rows = [[f"`{name}`", count, f"`{sha256}`"] for name, count, sha256 in (*tables, *files)]
    return "## Data and files\n\nTables it came from, then its own files.\n\n" + _table(
        ["file", "rows", "sha256"], rows
    )


def _use() -> str:
    return (
        "## Use\n\nPut a prompt in the task's format before it; `AutoModelForCausalLM.from_pretrained` and "
        "`AutoTokenizer.from_pretrained` load the folder. It thinks until it answers by itself or is made to."
    )


def _license(origin: Origin) -> str:
    return f"## License\n\n{origin.project.license}, that of {origin.project.name} {origin.project.version}."


def _task(origin: Origin) -> str:
    return str(_param(origin, "task")["name"])


def _param(origin: Origin, key: str) -> dict[str, Any]:
    return next(step.params[key] for step in origin.steps if key in step.params)


def _num_weights(origin: Origin) -> int:
    """By the headers of the weights files."""
    output, total = origin.weights(origin.last), 0
    for name in output.members:
        if name.endswith(WEIGHTS):
            with origin.audit.store.open(output.file, name) as stream:
                total += sum(math.prod(tensor["shape"]) for tensor in header(stream).values())
    return total


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

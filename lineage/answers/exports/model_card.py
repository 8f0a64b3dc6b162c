"""Hugging Face model card: what the policy is, how it did in its exam, what it was made of."""

import math
from collections.abc import Sequence
from pathlib import PurePosixPath

from huggingface_hub import EvalResult, ModelCardData

from lineage.answers.exports.origin import Origin, Success
from lineage.data.weights import header
from lineage.record.ancestry import Generation
from lineage.record.flags import Flag
from lineage.record.values import Value, section, text_at

WEIGHTS = ".safetensors"
PIPELINE = "text-generation"
LIMITS = (
    "## Limits\n\n"
    "- Intervals are over the exam's problems. They say nothing of another training run, which may "
    "differ by more.\n"
    "- Where all problems came out alike, the bootstrap's interval has no width. That is its "
    "limit, not certainty.\n"
    "- It answers problems of this task, written in this task's format. Nothing else was trained "
    "or measured.\n"
    "- A success is what the exam's judge calls right; how it was reached was not looked at."
)


def write(origin: Origin) -> str:
    """The card: metadata between `---`, then text."""
    parts = [
        *(_intro(origin), _exam(origin), _lineage(origin), _data(origin)),
        *(_use(), LIMITS, _license(origin)),
    ]
    return f"---\n{_metadata(origin).to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _metadata(origin: Origin) -> ModelCardData:
    is_init = origin.last.parent is None
    approach = "supervised-fine-tuning" if is_init else "reinforcement-learning"
    return ModelCardData(
        license=origin.project.license.lower(),
        library_name="transformers",
        pipeline_tag=PIPELINE,
        model_name=f"{origin.project.name}-{origin.policy}",
        tags=[origin.project.name, approach, origin.task],
        metrics=["success"],
        eval_results=[_result(origin, success) for success in origin.successes] or None,
    )


def _result(origin: Origin, success: Success) -> EvalResult:
    return EvalResult(
        task_type=PIPELINE,
        dataset_type=origin.task,
        dataset_name=f"{origin.task}, held-out",
        dataset_config=success.level,
        dataset_split="heldout",
        metric_type="success",
        metric_name=f"success within {success.budget_tokens} thinking tokens",
        metric_value=success.mean,
        metric_args={
            "budget_tokens": success.budget_tokens,
            "low": success.low,
            "high": success.high,
        },
    )


def _intro(origin: Origin) -> str:
    project, (_, architecture) = origin.project, origin.architecture
    return (
        f"# {project.name} {origin.policy}\n\n{project.description}.\n\nA `{architecture}` of "
        f"{_num_weights(origin):,} weights, trained and examined on the task `{origin.task}`."
    )


def _exam(origin: Origin) -> str:
    successes = origin.successes
    if not successes:
        return "## Exam\n\nThis policy has none."
    budgets = sorted({success.budget_tokens for success in successes})
    rows: dict[str, list[str]] = {}
    for success in successes:
        row = rows.setdefault(
            success.level, [success.slice, str(success.num_problems), *[""] * len(budgets)]
        )
        ends = f"[{_three_digits(success.low)}, {_three_digits(success.high)}]"
        row[2 + budgets.index(success.budget_tokens)] = f"{_three_digits(success.mean)} {ends}"
    confidence = origin.param("evaluate")["confidence"]
    assert isinstance(confidence, float | int)
    text = (
        "Success on held-out problems by difficulty and thinking tokens allowed; in brackets "
        f"{confidence:.0%} bootstrap intervals over problems. Samples a problem: "
        f"{origin.param('exam')['num_samples']}."
    )
    if "temperatures" in origin.param("exam"):
        text += " Sampled at the temperature that succeeds most on reserved problems."
    head = ["problems", "number", *(f"{budget} tokens" for budget in budgets)]
    return f"## Exam\n\n{text}\n\n" + _table(head, [*rows.values()])


def _three_digits(number: float | None) -> str:
    return "unknown" if number is None else f"{number:.3f}"


def _lineage(origin: Origin) -> str:
    rows = [_ancestor(generation) for generation in origin.generations]
    head = ["policy", "from", "recipe", "seed", "tokens trained on", "commit"]
    return "## Lineage\n\nOldest first.\n\n" + _table(head, rows)


def _ancestor(generation: Generation) -> list[str]:
    name, recipe = generation.policy, generation.recipe
    settings = section(recipe, f"rounds.{name}")
    model = section(recipe, f"inits.{name}.model")
    start = f"`{generation.parent}`" if generation.parent else "random weights"
    if "checkpoint" in model:
        start = f"`{PurePosixPath(str(model['checkpoint'])).name}` ({model['sha256']})"
    seed: Value = settings.get("seed", recipe.get(f"inits.{name}.seed", ""))
    trained = generation.tokens.get("trained")
    return [
        f"`{name}`",
        start,
        text_at(settings, "recipe") or "demonstrations",
        str(seed),
        f"{trained:,}" if trained is not None else "",
        f"`{generation.commit[:12]}`" if generation.commit else "none yet",
    ]


def _data(origin: Origin) -> str:
    rows = []
    for flag in (Flag.PROBLEMS, Flag.DEMOS, Flag.ROLLOUTS):
        for _, output in origin.tables(flag):
            for name, member in output.members.items():
                path = f"{output.file.path}/{name}".rstrip("/")
                rows.append([f"`{path}`", f"{output.rows[name]:,}", f"`{member.sha256}`"])
    for name, member in origin.weights(origin.last).members.items():
        rows.append([f"`{name}`", "", f"`{member.sha256}`"])
    table = _table(["file", "rows", "sha256"], rows)
    return f"## Data and files\n\nTables it came from, then its own files.\n\n{table}"


def _use() -> str:
    return (
        "## Use\n\nPut a prompt in the task's format before it; "
        "`AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained` load the "
        "folder. It thinks until it answers by itself or is made to."
    )


def _license(origin: Origin) -> str:
    project = origin.project
    return f"## License\n\n{project.license}, that of {project.name} {project.version}."


def _num_weights(origin: Origin) -> int:
    """By the headers of the weights files."""
    output, total = origin.weights(origin.last), 0
    for name in output.members:
        if name.endswith(WEIGHTS):
            with origin.audit.store.open(output.file, name) as stream:
                total += sum(math.prod(tensor.shape) for tensor in header(stream).values())
    return total


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

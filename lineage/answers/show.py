"""How a policy came to be: every policy, judge and table before it, and the steps between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lineage.data.exam import Exam, exam_of
from lineage.record.ancestry import JUDGE, Generation, ancestry, first_commits, is_cut
from lineage.record.audit import Audit
from lineage.record.flags import Flag
from lineage.record.graph import Graph
from lineage.record.lock import File, FileVersion, Step
from lineage.record.values import Value, Values, leaves, section, text_at

EXACT = "exact"
"""The judge of a round that its task's own verifier judges."""
INLINE = {"inline": True}
"""Of a field whose own fields stand among those around it in JSON."""


@dataclass(frozen=True)
class Problems:
    """A table of problems."""

    step: str
    path: str
    md5: str
    size: int
    task: Value


@dataclass(frozen=True)
class Judge:
    """A policy that was trained to judge answers."""

    judge: str
    base: str | None
    """The policy it was trained from."""
    round: str | None
    """The round whose answers it learnt from."""
    sampled_by: str | None
    """The policy that gave those answers."""
    seed: Value
    md5: str
    commit: str | None


@dataclass(frozen=True, kw_only=True)
class Init:
    """What a first policy was made of: existing weights or random ones, and demonstrations."""

    kind: str = "init"
    parent: None = None
    seed: Value
    base: Values
    """The checkpoint it began from; else under `shape` that of random weights."""
    demonstrations: FileVersion | None


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round began from, and who rewarded it."""

    kind: str = "round"
    parent: str | None
    reference: str | None
    judge: str
    recipe: str | None
    seed: Value


@dataclass(frozen=True)
class Ancestor:
    """One policy, and what made it."""

    policy: str
    origin: Init | Round = field(metadata=INLINE)
    md5: str
    commit: str | None
    """The first whose dvc.lock has it; None where none has."""
    code: str
    environment: str
    packages: Mapping[str, str] | None
    """Those that ran; None where run facts are not here."""
    params: Values
    """By dotted key, leaf by leaf."""
    tokens: Mapping[str, int] | None
    seconds: Mapping[str, float | None]
    """Of each step, parents first."""
    known_seconds: float | None
    exam: Exam | None


@dataclass(frozen=True)
class Ancestors:
    """A policy's ancestors, oldest first, up to problems and base model."""

    policy: str
    revision: str
    is_cut: bool
    """Whether the clone has only the last commits, so that not all is known of those before."""
    problems: list[Problems]
    judges: list[Judge]
    generations: list[Ancestor]


def show(audit: Audit, policy: str) -> Ancestors:
    """Everything a policy came from.

    Raises:
        AuditError: there is no such policy.
    """
    graph = audit.graph
    generations = ancestry(audit.tree, policy, graph)
    before = graph.ancestors(graph.policy(policy))
    trained, problems = [], []
    for step in before:
        if step.group == JUDGE and (file := step.written(Flag.JUDGE)):
            trained.append((step, file))
        if file := step.written(Flag.PROBLEMS):
            task = step.params.get("task")
            problems.append(Problems(step.name, file.path, file.md5, file.size, task))
    commits = first_commits(audit.tree, [file.md5 for _, file in trained])
    return Ancestors(
        policy=policy,
        revision=audit.tree.commit,
        is_cut=is_cut(audit.tree),
        problems=problems,
        judges=[_judge(graph, step, file, commits.get(file.md5)) for step, file in trained],
        generations=[_ancestor(graph, generation, before) for generation in generations],
    )


def _judge(graph: Graph, step: Step, file: File, commit: str | None) -> Judge:
    base, taught_by = graph.source(step, Flag.BASE), graph.source(step, Flag.ROLLOUTS)
    sampler = graph.source(taught_by, Flag.POLICY) if taught_by else None
    return Judge(
        judge=step.key,
        base=base.key if base else None,
        round=taught_by.key if taught_by else None,
        sampled_by=sampler.key if sampler else None,
        seed=section(step.params, f"judges.{step.key}").get("seed"),
        md5=file.md5,
        commit=commit,
    )


def _ancestor(graph: Graph, generation: Generation, before: Sequence[Step]) -> Ancestor:
    made_by = {step.name for step in generation.made_by.values()}
    steps = [step for step in before if step.name in made_by]
    seconds = {step.name: generation.seconds.get(step.group) for step in steps}
    known = [value for value in seconds.values() if value is not None]
    params: dict[str, Value] = {}
    for key, content in generation.recipe.items():
        params |= {".".join(path): value for path, value in leaves(content, (key,))}
    return Ancestor(
        policy=generation.policy,
        origin=_round(graph, generation) if "update" in generation.steps else _init(generation),
        md5=generation.md5,
        commit=generation.commit,
        code=generation.code,
        environment=generation.environment,
        packages=generation.packages["packages"] if generation.packages else None,
        params=params,
        tokens=dict(generation.tokens) or _imitated(generation),
        seconds=seconds,
        known_seconds=round(sum(known), 1) if known else None,
        exam=exam_of(generation),
    )


def _imitated(generation: Generation) -> dict[str, int] | None:
    """Tokens of a first policy's demonstrations; known where its run facts are."""
    counts = generation.facts.get("sft", {}).get("counts", {})
    return {"trained": counts["num_tokens"]} if "num_tokens" in counts else None


def _init(generation: Generation) -> Init:
    recipe, name = generation.recipe, generation.policy
    model = section(recipe, f"inits.{name}.model")
    demonstrate = generation.steps.get("demonstrate")
    demos = demonstrate.written(Flag.DEMOS) if demonstrate else None
    return Init(
        seed=recipe.get(f"inits.{name}.seed"),
        base=model if "checkpoint" in model else {"shape": model},
        demonstrations=demos.version if demos else None,
    )


def _round(graph: Graph, generation: Generation) -> Round:
    settings = section(generation.recipe, f"rounds.{generation.policy}")
    update, score = generation.steps["update"], generation.steps.get("score")
    reference = graph.source(update, Flag.REFERENCE)
    judge = graph.source(score, Flag.JUDGE) if score else None
    return Round(
        parent=generation.parent,
        reference=reference.key if reference else None,
        judge=judge.key if judge and judge.group == JUDGE else EXACT,
        recipe=text_at(settings, "recipe"),
        seed=settings.get("seed"),
    )

"""What a policy was trained on: the tables that its ancestors' training steps read."""

from dataclasses import dataclass

from lineage.record.errors import AuditError
from lineage.record.flags import Flag
from lineage.record.graph import Graph
from lineage.record.lock import File, Step
from lineage.record.values import section

DEMONSTRATION, ROLLOUT, JUDGEMENT = "demonstration", "rollout", "judgement"


@dataclass(frozen=True)
class Source:
    """One table that a training step read."""

    generation: str
    """The policy it trained; `judge <name>` of a judge, whose rewards trained a policy."""
    kind: str
    step: Step
    table: File
    """One row per row trained on: demos, or rollouts."""
    ledger: File | None
    """What became of each rollout; None for other kinds."""
    problems: File
    sampler: File | None
    """The policy that sampled the rollouts, whose tokens they hold; None for demonstrations."""
    epochs: int | None
    """How often each row was gone through; None where the params do not say."""

    @property
    def accounted(self) -> File:
        """The table that says what became of each row: the ledger, where there is one."""
        return self.ledger or self.table


def sources(graph: Graph, policy: str) -> list[Source]:
    """All that trained a policy, its ancestors and references, and the judges that rewarded them.

    Raises:
        AuditError: there is no such policy, or a training step names no table among its inputs.
    """
    trained_by = []
    for step in graph.ancestors(graph.policy(policy)):
        if step.group == "sft":
            demos, problems = step.input(Flag.DEMOS), step.input(Flag.PROBLEMS)
            source = Source(
                step.key, DEMONSTRATION, step, demos, None, problems, None, _epochs(step)
            )
            trained_by.append(source)
        elif step.group in ("update", "judge"):
            trained_by.append(_of_rollouts(graph, step))
    return trained_by


def checkpoints(graph: Graph, policy: str) -> list[str]:
    """Policies from elsewhere that an ancestor began from: what trained those is not known here."""
    begun = []
    for step in graph.ancestors(graph.policy(policy)):
        for key in step.params if step.group == "sft" else ():
            model = section(step.params, key)
            if key.endswith(".model") and "checkpoint" in model:
                sha256 = str(model["sha256"])[:12]
                begun.append(f"{step.key} began from {model['checkpoint']} (sha256 {sha256})")
    return begun


def _of_rollouts(graph: Graph, step: Step) -> Source:
    rollouts = step.input(Flag.ROLLOUTS)
    sampling = graph.maker(rollouts.path)
    if sampling is None:
        raise AuditError(
            f"dvc.lock: no step made {rollouts.path}, which {step.name} read; `dvc repro` makes it"
        )
    is_update = step.group == "update"
    return Source(
        step.key if is_update else f"judge {step.key}",
        ROLLOUT if is_update else JUDGEMENT,
        step,
        rollouts,
        step.output(Flag.LEDGER) if is_update else None,
        sampling.input(Flag.PROBLEMS),
        sampling.input(Flag.POLICY),
        _epochs(step),
    )


def _epochs(step: Step) -> int | None:
    for key in step.params:
        settings = section(step.params, key)
        if step.group == "judge" and key == f"judges.{step.key}":
            settings = section(settings, "sft")
        elif not key.endswith((".sft", ".update")):
            continue
        epochs = settings.get("epochs")
        return epochs if isinstance(epochs, int) else None
    return None

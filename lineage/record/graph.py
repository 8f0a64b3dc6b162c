"""Who made what: the steps of dvc.lock as a graph, and the policies in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from lineage.record.errors import AuditError
from lineage.record.flags import EXAM_STEPS, Flag
from lineage.record.lock import File, Step

POLICY_FLAGS = {"update": Flag.NEXT_POLICY, "sft": Flag.POLICY}
"""Steps that make a policy, and the flag that says where it goes. Its name is the step's key."""


@dataclass(frozen=True)
class Graph:
    """Steps, and the step that made each output."""

    steps: Mapping[str, Step]
    makers: Mapping[str, Step]
    """By the path of an output."""

    @classmethod
    def of(cls, steps: Mapping[str, Step]) -> "Graph":
        """The graph of the steps of a lock file."""
        return cls(steps, {out.path: step for step in steps.values() for out in step.outs})

    def maker(self, path: str) -> Step | None:
        """The step that made a file, or the folder it lies in; None where no step did."""
        while path:
            if path in self.makers:
                return self.makers[path]
            path = path.rpartition("/")[0]
        return None

    def source(self, step: Step, flag: Flag) -> Step | None:
        """The step that made what a flag of a step names; None where no step did."""
        return self.maker(step.flags.get(flag, ""))

    def parents(self, step: Step) -> list[Step]:
        """The steps whose outputs a step read, without repeats."""
        parents: dict[str, Step] = {}
        folders = []
        for dep in step.deps:
            if maker := self.maker(dep.path):
                parents.setdefault(maker.name, maker)
            elif dep.is_folder:
                folders.append(f"{dep.path}/")
        for path, maker in self.makers.items() if folders else ():
            if path.startswith(tuple(folders)):
                parents.setdefault(maker.name, maker)
        parents.pop(step.name, None)
        return list(parents.values())

    def ancestors(self, *steps: Step) -> list[Step]:
        """The steps and all before them, parents first.

        Raises:
            AuditError: the lock file has a circle.
        """
        parents: dict[str, list[str]] = {}
        pending = [step.name for step in steps]
        while pending:
            name = pending.pop()
            if name not in parents:
                parents[name] = [parent.name for parent in self.parents(self.steps[name])]
                pending += parents[name]
        try:
            return [self.steps[name] for name in TopologicalSorter(parents).static_order()]
        except CycleError as error:
            raise AuditError(f"dvc.lock has a circle: {' <- '.join(error.args[1])}") from None

    @cached_property
    def policies(self) -> dict[str, Step]:
        """The steps that made a policy, by the policy's name."""
        makers = (step for step in self.steps.values() if step.group in POLICY_FLAGS)
        return {step.key: step for step in makers if step.key}

    def policy(self, name: str) -> Step:
        """The step that made a policy.

        Raises:
            AuditError: no step did; says which policies there are.
        """
        if name not in self.policies:
            raise AuditError(f"no policy {name} in dvc.lock; choose from {sorted(self.policies)}")
        return self.policies[name]

    def of_key(self, key: str) -> dict[str, Step]:
        """The steps of one round, init or exam, by what they do."""
        return {step.group: step for step in self.steps.values() if step.key == key}

    def exam(self, policy: str) -> list[Step]:
        """The steps of a policy's exam; none where it has no exam."""
        return [step for group, step in self.of_key(policy).items() if group in EXAM_STEPS]


def policy_file(step: Step) -> File:
    """The policy a step made.

    Raises:
        AuditError: the step's command names no policy among its outputs.
    """
    file = step.written(POLICY_FLAGS[step.group])
    if file is None:
        raise AuditError(f"dvc.lock: step {step.name} names no policy among its outputs")
    return file

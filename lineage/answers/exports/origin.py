"""What every export holds: the steps a policy came from, and each file they wrote.

All of it is read from one commit and the bytes its dvc.lock names, so that an export is the same
bytes wherever and whenever it is made.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import pyarrow as pa

from lineage.data.exam import Exam, exam_of
from lineage.data.tables import open_part
from lineage.record.ancestry import Generation, ancestry
from lineage.record.audit import Audit
from lineage.record.digests import Digests, digests_of
from lineage.record.errors import AuditError
from lineage.record.flags import Flag
from lineage.record.graph import policy_file
from lineage.record.lock import File, Step
from lineage.record.template import GRAPH, read_yaml
from lineage.record.tree import git
from lineage.record.values import Values, section, text_at

TABLE = ".parquet"


@dataclass(frozen=True)
class Output:
    """A file or folder a step wrote."""

    file: File
    members: Mapping[str, Digests]
    """By name within the folder; of a file one, with an empty name."""
    schema: pa.Schema | None
    """Of a table, else None."""
    rows: Mapping[str, int]
    """How many rows each file of a table has."""

    @property
    def num_rows(self) -> int:
        """Rows of all parts of a table."""
        return sum(self.rows.values())

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(member.size for member in self.members.values())


@dataclass(frozen=True)
class Project:
    """Whose work it is, from pyproject.toml."""

    name: str
    version: str
    description: str
    license: str
    """SPDX identifier."""


@dataclass(frozen=True)
class Origin:
    """A policy and all it came from."""

    audit: Audit
    policy: str

    @cached_property
    def generations(self) -> list[Generation]:
        """The policy and those before it, oldest first."""
        return ancestry(self.audit.tree, self.policy, self.audit.graph)

    @property
    def last(self) -> Generation:
        """The policy itself."""
        return self.generations[-1]

    @cached_property
    def successes(self) -> Sequence["Success"]:
        """The success of its exam by level and budget, in this order; nothing without an exam."""
        return _successes(exam_of(self.last))

    @cached_property
    def steps(self) -> list[Step]:
        """The steps it came from and those of its exam, parents first."""
        graph = self.audit.graph
        return graph.ancestors(graph.policy(self.policy), *graph.exam(self.policy))

    @cached_property
    def outputs(self) -> dict[str, Output]:
        """What the steps wrote, by path."""
        return {out.path: self._output(out) for step in self.steps for out in step.outs}

    @cached_property
    def project(self) -> Project:
        """Whose work it is.

        Raises:
            AuditError: pyproject.toml is missing or does not say.
        """
        try:
            content = tomllib.loads(self.audit.tree.read("pyproject.toml").decode("utf-8"))
            stated = content["project"]
            names = ("name", "version", "description", "license")
            return Project(*(stated[name] for name in names))
        except FileNotFoundError:
            raise AuditError(
                f"pyproject.toml is missing at {self.audit.tree.commit[:12]}"
            ) from None
        except (ValueError, KeyError) as error:
            raise AuditError(
                f"pyproject.toml says no name, version, description and license: {error!r}"
            ) from None

    def generation(self, step: Step) -> Generation:
        """The policy a step was run for; of a step that serves all, the first."""
        return next(
            (each for each in self.generations if each.policy == step.key), self.generations[0]
        )

    def time(self, commit: str | None = None) -> datetime:
        """When a commit was made, or that asked: formats want a time, and git has none of runs."""
        command = ("log", "-1", "--format=%ct", commit or self.audit.tree.commit)
        return datetime.fromtimestamp(int(git(self.audit.tree.repository, *command)), UTC)

    @cached_property
    def descriptions(self) -> dict[str, str]:
        """What each step does, by the name of its kind, from dvc.yaml."""
        stages, descriptions = section(read_yaml(self.audit.tree, GRAPH), "stages"), {}
        for name in stages:
            stage = section(stages, name)
            descriptions[name] = text_at(section(stage, "do") or stage, "desc") or name
        return descriptions

    def tables(self, flag: Flag) -> Iterator[tuple[Step, Output]]:
        """The tables written under a flag, each with the step that wrote it."""
        for step in self.steps:
            file = step.written(flag)
            if file is not None and (output := self.outputs[file.path]).schema is not None:
                yield step, output

    def weights(self, generation: Generation) -> Output:
        """The folder of a policy."""
        return self.outputs[policy_file(self.audit.graph.policy(generation.policy)).path]

    @property
    def task(self) -> str:
        """The task it was trained and examined on."""
        return str(self.param("task")["name"])

    def param(self, key: str) -> Values:
        """A section of params, as the first step ran with it that has it."""
        return next(section(step.params, key) for step in self.steps if key in step.params)

    @cached_property
    def architecture(self) -> tuple[str, str]:
        """Family and class of its model, from config.json."""
        with self.audit.store.open(self.weights(self.last).file, "config.json") as stream:
            config = json.loads(stream.read())
        return config["model_type"], config["architectures"][0]

    def _output(self, file: File) -> Output:
        members, schema, rows = {}, None, {}
        for member in self.audit.store.members(file):
            with self.audit.store.open(file, member.name) as stream:
                members[member.name] = digests_of(stream)
                if file.path.endswith(TABLE):
                    stream.seek(0)
                    part = open_part(stream, file.path)
                    schema, rows[member.name] = part.schema, part.num_rows
        return Output(file, members, schema, rows)


@dataclass(frozen=True)
class Success:
    """One number of an exam: the mean over its problems, with its interval."""

    level: str
    """`all`, or `difficulty_<n>`."""
    budget_tokens: int
    num_problems: int
    mean: float | None
    low: float | None
    high: float | None

    @property
    def slice(self) -> str:
        """The level in words."""
        return "all problems" if self.level == "all" else self.level.replace("_", " ")


def _successes(exam: Exam | None) -> list[Success]:
    successes = []
    for name, level in exam.levels.items() if exam else ():
        for budget, estimate in level.success.items():
            if estimate is not None:
                ends = (estimate.mean, estimate.low, estimate.high)
                successes.append(Success(name, int(budget), level.num_problems, *ends))
    return sorted(successes, key=lambda success: (success.level, success.budget_tokens))


def described(field: pa.Field) -> str:
    """What a table says of a column."""
    return (field.metadata or {}).get(b"description", field.name.encode()).decode("utf-8")


def canonical(value: object) -> str:
    """JSON of which there is one for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def lines(values: Iterable[object]) -> str:
    """JSON lines."""
    return "".join(f"{canonical(value)}\n" for value in values)

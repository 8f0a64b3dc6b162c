"""What every export tells: the steps a policy came from, and each file they wrote, with digests and columns.

All of it is read from one commit and the bytes its dvc.lock names, so that an export is the same bytes wherever and
whenever it is made.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from lineage.record.ancestry import EXAM, Generation, ancestry
from lineage.record.audit import Audit
from lineage.record.errors import AuditError
from lineage.record.graph import policy_file
from lineage.record.lock import File, Step
from lineage.record.store import Digests, digests
from lineage.record.tree import git

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
    def steps(self) -> list[Step]:
        """The steps it came from and those of its exam, parents first."""
        graph = self.audit.graph
        exam = [step for name, step in graph.of_key(self.policy).items() if name in EXAM]
        return graph.ancestors(graph.policy(self.policy), *exam)

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
            said = tomllib.loads(self.audit.tree.read("pyproject.toml").decode("utf-8"))["project"]
            return Project(said["name"], said["version"], said["description"], said["license"])
        except FileNotFoundError:
            raise AuditError(f"pyproject.toml is missing at {self.audit.tree.commit[:12]}") from None
        except (ValueError, KeyError) as error:
            raise AuditError(f"pyproject.toml says no name, version, description and license: {error!r}") from None

    def generation(self, step: Step) -> Generation:
        """The policy a step was run for; of a step that serves all, the first."""
        return next((one for one in self.generations if one.policy == step.key), self.generations[0])

    def time(self, commit: str | None = None) -> datetime:
        """When a commit was made, or that asked: formats want a time, and those of runs are not in git."""
        seconds = git(self.audit.tree.repository, "log", "-1", "--format=%ct", commit or self.audit.tree.commit)
        return datetime.fromtimestamp(int(seconds), UTC)

    @cached_property
    def descriptions(self) -> dict[str, str]:
        """What each step does, by the name of its kind, from dvc.yaml."""
        stages = yaml.load(self.audit.tree.read("dvc.yaml"), Loader=yaml.CSafeLoader)["stages"]
        return {name: stage.get("do", stage).get("desc", name) for name, stage in stages.items()}

    def tables(self, flag: str) -> Iterator[tuple[Step, Output]]:
        """The tables written under a flag, each with the step that wrote it."""
        for step in self.steps:
            file = step.written(flag)
            if file is not None and (output := self.outputs[file.path]).schema is not None:
                yield step, output

    def weights(self, generation: Generation) -> Output:
        """The folder of a policy."""
        return self.outputs[policy_file(self.audit.graph.policy(generation.policy)).path]

    def read(self, output: Output, name: str = "") -> bytes:
        """A small file of an output."""
        with self.audit.store.open(output.file, name) as stream:
            return stream.read()

    def config(self) -> Mapping[str, Any]:
        """The model's config.json."""
        return json.loads(self.read(self.weights(self.last), "config.json"))

    def _output(self, file: File) -> Output:
        members, schema, rows = {}, None, {}
        for member in self.audit.store.members(file):
            with self.audit.store.open(file, member.name) as stream:
                members[member.name] = digests(stream)
                if file.path.endswith(TABLE):
                    stream.seek(0)
                    table = pq.ParquetFile(stream)
                    schema, rows[member.name] = table.schema_arrow, table.metadata.num_rows
        return Output(file, members, schema, rows)


@dataclass(frozen=True)
class Success:
    """One number of an exam: the mean over its problems, with its interval."""

    level: str
    """`all`, or `difficulty_<n>`."""
    budget_tokens: int
    num_problems: int
    mean: float
    low: float
    high: float

    @property
    def slice(self) -> str:
        """The level in words."""
        return "all problems" if self.level == "all" else self.level.replace("_", " ")


def successes(exam: Mapping[str, Any] | None) -> Sequence[Success]:
    """The success of an exam by level and budget, in this order; nothing where there was none."""
    found = [
        Success(level, int(budget.removeprefix("budget_")), told["num_problems"], **interval)
        for level, told in (exam or {}).items()
        if "success" in told
        for budget, interval in told["success"].items()
        if interval is not None
    ]
    return sorted(found, key=lambda one: (one.level, one.budget_tokens))


def described(field: pa.Field) -> str:
    """What a table says of a column."""
    return (field.metadata or {}).get(b"description", field.name.encode()).decode("utf-8")


def canonical(value: Any) -> str:
    """JSON of which there is one for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def lines(values: Iterable[Any]) -> str:
    """JSON lines."""
    return "".join(f"{canonical(value)}\n" for value in values)

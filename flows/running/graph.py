"""dvc.yaml as a plan: each stage in running order, those it waits for, and why it must run again.

DVC decides; nothing here knows a path or a rule of its own. A stage after a stale one is stale too:
it may turn out to need no work, which DVC sees when its turn comes. Only after an edit of code is
more known in advance: a stage whose listing of code would come out as it is, is left alone.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from flows.project import mending, names
from flows.running import cache

if TYPE_CHECKING:
    from dvc.dependency import ParamsDependency
    from dvc.stage import Stage

LISTER = "code"
"""The stage that lists the code of all others, and the module it runs."""


class GraphError(Exception):
    """dvc.yaml, params.yaml or a stage's name is wrong: another try gives the same answer."""


@dataclass(frozen=True)
class PlannedStage:
    """One stage: those it waits for, and the reasons to run it, none where it is up to date."""

    name: str
    parents: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def is_stale(self) -> bool:
        """Whether the stage must run, or may have to once its parents did."""
        return bool(self.reasons)


@dataclass(frozen=True)
class Step:
    """One stage as it would run: its command, what it reads of params.yaml, what it writes."""

    name: str
    parents: tuple[str, ...]
    command: str
    params: dict[str, Any]
    outs: tuple[str, ...]


def plan(targets: Sequence[str] = ()) -> list[PlannedStage]:
    """The stages `dvc repro` would look at from this directory, in its order.

    All of them, or `targets` and their ancestors: a target is a stage (`update@i1`) or a group of
    stages (`update`). What a killed DVC truncated is mended first, and what is spoilt in its cache
    is dropped: a plan that counts on it would be another.

    Raises:
        GraphError: DVC cannot read the project, or does not know a target.
    """
    with _in_order(targets) as stages:
        return _planned(stages)


def steps(targets: Sequence[str] = ()) -> list[Step]:
    """The same stages, each with its command resolved.

    Raises:
        GraphError: DVC cannot read the project, or does not know a target.
    """
    with _in_order(targets) as stages:
        return [
            Step(
                stage.addressing,
                tuple(sorted(parent.addressing for parent in needed)),
                stage.cmd,
                {key: value for of in stage.params for key, value in of.read_params().items()},
                tuple(os.path.relpath(out.fs_path) for out in stage.outs),
            )
            for stage, needed in stages
        ]


@contextmanager
def _in_order(targets: Sequence[str]) -> Iterator[list[tuple["Stage", list["Stage"]]]]:
    """Each stage and those it needs, which come before it, while DVC's lock is held."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.reproduce import get_active_graph, plan_repro
    from dvc.stage.exceptions import StageNotFound

    mending.mend()
    try:
        with Repo(".", _wait_for_lock=True) as repo, repo.lock:
            spoilt = cache.find_spoilt(repo, is_quick=True)
            cache.drop(spoilt)
            for each in spoilt:
                print(f"spoilt, dropped from DVC's cache: {each}", file=sys.stderr)
            graph = get_active_graph(repo.index.graph)
            wanted = []
            for target in targets or ["dvc.yaml"]:
                wanted += repo.stage.collect(target)
            yield [(stage, list(graph.successors(stage))) for stage in plan_repro(graph, wanted)]
    except StageNotFound as error:
        raise GraphError(f"{error.msg}; {_choices(targets)}") from error
    except DvcException as error:
        detail = f" ({' '.join(str(error.__cause__).split())})" if error.__cause__ else ""
        raise GraphError(
            f"{error}{detail}; mend it and run again, from the repository's root"
        ) from error


def _choices(targets: Sequence[str]) -> str:
    """The stages that a name may have meant: those of its group, else the groups."""
    groups = dict.fromkeys(target.partition("@")[0] for target in targets)
    near = [stage for group in groups for stage in names.stages(f"{group}@")]
    return f"choose from {near or names.stages('')}"


def _planned(stages: Iterable[tuple["Stage", list["Stage"]]]) -> list[PlannedStage]:
    """Each stage of `(stage, the stages it needs)`, which come after those they need."""
    planned: dict[str, PlannedStage] = {}
    kept: set[str] = set()
    for stage, needed in stages:
        name, reasons = stage.addressing, _reasons(stage)
        if name == LISTER and reasons:
            kept = set(_listings_kept(stage))
        parents = []
        for parent in sorted(needed, key=lambda parent: parent.addressing):
            parents.append(parent.addressing)
            if planned[parent.addressing].is_stale and _takes(stage, parent, kept):
                reasons.append(f"after {parent.addressing}")
        planned[name] = PlannedStage(name, tuple(parents), tuple(reasons))
    return list(planned.values())


def _takes(stage: "Stage", parent: "Stage", kept: set[str]) -> bool:
    """Whether a stage reads anything of a parent's but listings that stay as they are."""
    read = {dep.fs_path for dep in stage.deps} & {out.fs_path for out in parent.outs}
    return not read or not read <= kept


def _listings_kept(lister: "Stage") -> Iterator[str]:
    """The listings of code that would come out as they are.

    None where a file cannot be parsed: the stage itself then says so when it runs.
    """
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", f"stages.{LISTER}", "--listings", folder]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return
        for path in (Path(out.fs_path) for out in lister.outs):
            anew = Path(folder, path.name)
            if path.is_file() and anew.is_file() and path.read_bytes() == anew.read_bytes():
                yield str(path)


def _reasons(stage: "Stage") -> list[str]:
    """What DVC's status says of one stage.

    Each dependency and output is asked, as `Stage.status` does, but without its read lock on the
    files: that lock makes a stage which starts at the same moment fail as "busy".
    """
    if not any(entry.hash_info for entry in [*stage.deps, *stage.outs]):
        return ["never ran"]
    reasons = ["command changed"] if stage.changed_stage() else []
    if stage.is_callback or stage.always_changed:
        reasons.append("always runs")
    params = [] if stage.frozen else stage.params
    files = [*([] if stage.frozen else stage.deps), *stage.outs]
    for param in params:
        reasons += _param_reasons(param)
    for file in files:
        if file not in params:
            reasons += [f"{path} {change}" for path, change in file.status().items()]
    return reasons


def _param_reasons(param: "ParamsDependency") -> Iterator[str]:
    """Every changed leaf of params.yaml with its value then and now."""
    changes = param.status().get(str(param), {})
    if isinstance(changes, str):
        yield f"{param} {changes}"
        return
    then, now = leaves(param.hash_info.value), leaves(param.read_params())
    for key in {**then, **now}:
        if then.get(key) != now.get(key):
            yield f"{key}: {then.get(key, 'absent')} -> {now.get(key, 'absent')}"


def leaves(value: Any, key: str = "") -> dict[str, Any]:
    """A nested mapping as `{"a.b.c": value}`."""
    if not isinstance(value, dict):
        return {key: value}
    flat: dict[str, Any] = {}
    for name, below in value.items():
        flat |= leaves(below, f"{key}.{name}" if key else str(name))
    return flat

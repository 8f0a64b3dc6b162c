"""Run the steps of a checkout in one process, which keeps its engine from policy to policy.

A chain of small rounds is mostly start-up where every step is a process: of Python, of libraries,
of engines. Here the steps that `flows.steps` lists are called one after the other, each by its own
`main` with the arguments of its command in dvc.yaml, so that every file is what `dvc repro` leaves.

A finished step is marked under data/.done with a digest of its command, its params, the commit and
the steps before it, and is not run again while that stays; what another chain of the experiment has
done under the same digest (problems, initial policies, their exams) is linked from there. After a
kill run the same command again: the step that was interrupted goes on from its unfinished work.

Example: python -m experiments.chain --targets evaluate --siblings ..
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from stages.contracts.params.base import Name, read_section
from stages.contracts.params.round import Round
from stages.contracts.policy_tree import ancestors
from stages.engines.computing import settings_of_one_step
from stages.engines.kept import kept_engines
from stages.pure.course.diagnosis import FALLING, fall, is_found
from stages.running.errors import BadInput, command, split_listing
from stages.running.publish import atomic, one_of_many, read_json

DONE = Path("data/.done")


class Step(NamedTuple):
    """A stage of dvc.yaml, and the digest of all that decides what it writes."""

    name: str
    command: str
    outs: Sequence[str]
    digest: str

    def is_done(self, checkout: Path) -> bool:
        """Whether a checkout has what this step writes."""
        mark = checkout / DONE / self.name
        try:
            is_marked = mark.read_text(encoding="utf-8") == self.digest
        except FileNotFoundError:
            return False
        return is_marked and all((checkout / out).exists() for out in self.outs)

    def mark(self) -> None:
        """Say that this checkout has it."""
        with atomic(DONE / self.name) as beside:
            beside.write_text(self.digest, encoding="utf-8")


def main(
    targets: tuple[str, ...] = (), siblings: tuple[Path, ...] = (), core: int | None = None
) -> None:
    """Bring the targets up to date in the working directory; without targets the whole graph.

    `siblings` are folders of checkouts whose finished steps may be taken over; `core` is the one
    that all is done on.
    """
    if core is not None:
        os.sched_setaffinity(0, {core})
    steps = list(read_steps(targets))
    began = time.monotonic()
    with kept_engines():
        for step in steps:
            if step.is_done(Path()):
                continue
            (DONE / step.name).unlink(missing_ok=True)
            if (lender := find_lender(step, siblings)) is None:
                run_step(step)
            else:
                borrow(step, lender)
            step.mark()
            stage, _, round_id = step.name.partition("@")
            if stage == "update":
                now = time.monotonic()
                course = scored_rounds(steps, round_id)
                print(f"{round_id}: {now - began:.1f} s, {told(course)}", flush=True)
                began = now


def read_steps(targets: Sequence[str]) -> Iterator[Step]:
    """The steps of the targets and of all they need, in running order.

    Raises:
        BadInput: dvc.yaml or params.yaml is wrong, or has no such target.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "flows.steps", *targets], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        raise BadInput(listed.stderr.strip().removeprefix("error: "))
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    digests: dict[str, str] = {}
    for entry in json.loads(listed.stdout):
        decisive = [commit, entry, *(digests[parent] for parent in entry["parents"])]
        digests[entry["name"]] = _digest(decisive)
        yield Step(entry["name"], entry["command"], entry["outs"], digests[entry["name"]])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def run_step(step: Step) -> None:
    """Call a step's `main` as its command would; what it prints goes to standard error."""
    for line in step.command.splitlines():
        module, arguments = parse(line, os.environ)
        print(f"{step.name}: {line}", file=sys.stderr, flush=True)
        with one_of_many(), settings_of_one_step(), redirect_stdout(sys.stderr):
            run = import_module(module).main
            tyro.cli(run, args=split_listing(run, arguments)[1])


def parse(line: str, environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """The module and the arguments of `[env NAME=VALUE …] python -m MODULE ARGUMENT …`.

    Raises:
        BadInput: the line is of another form, or wants a variable that this process has otherwise.
    """
    words = shlex.split(line)
    if words[0] == "env":
        words.pop(0)
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            if environment.get(name) != value:
                raise BadInput(f"`{line}` wants {name}={value}; start this process with it")
    if words[:2] != ["python", "-m"] or len(words) < 3:
        raise BadInput(f"`{line}` is not `python -m MODULE …`; `dvc repro` can run it")
    spec = find_spec(words[2])
    is_package = spec is not None and spec.submodule_search_locations is not None
    return f"{words[2]}.__main__" if is_package else words[2], words[3:]


def find_lender(step: Step, siblings: Sequence[Path]) -> Path | None:
    """A checkout among the siblings in which this very step is done."""
    marks = [mark for one in siblings for mark in sorted(one.glob(f"*/{DONE}/{step.name}"))]
    folders = (mark.parents[len(DONE.parts)] for mark in marks)
    return next((folder for folder in folders if step.is_done(folder)), None)


def borrow(step: Step, lender: Path) -> None:
    """Take over what a step wrote elsewhere, by hard links: no step writes into a finished file."""
    for out in step.outs:
        with atomic(Path(out)) as beside:
            if (lender / out).is_dir():
                shutil.copytree(lender / out, beside, copy_function=os.link)
            else:
                os.link(lender / out, beside)


def scored_rounds(steps: Sequence[Step], round_id: str) -> dict[str, Mapping[str, Any]]:
    """What the rollouts of a chain's rounds amount to, from its first one to this."""
    rounds = read_section(Path("params.yaml"), "rounds", dict[Name, Round])
    outs = [Path(out) for step in steps for out in step.outs if step.name.startswith("score@")]
    files = {path.stem: path for path in outs if path.suffix == ".json"}
    return {name: read_json(files[name]) for name in reversed(ancestors(rounds, round_id)[:-1])}


def told(course: Mapping[str, Mapping[str, Any]]) -> str:
    """The last round in a few words: its success, and from where it fell, beyond noise."""
    numbers = [row for row in course.values() if row["success_stderr"] is not None]
    success, last = [row["success"] for row in numbers], [*course.values()][-1]
    fallen = fall(success, [row["success_stderr"] for row in numbers])
    words = f"reward {last['reward']:.3f}, success {last['success']:.3f}"
    if fallen is None or not is_found(FALLING, {FALLING.number: fallen.p}):
        return words
    return f"{words}, falling from {success[fallen.best]:.3f} (p = {fallen.p:.2g})"


if __name__ == "__main__":
    command(main)

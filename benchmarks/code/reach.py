"""How far an edit of code reaches: the steps that list each file, and past commits replayed.

Reads   the tree; git's history before the ground was cut narrow (commit 66499a8).
Writes  tables on stdout; with --out the figures as JSON.
Method  Steps list files by `stages.code`. Each commit that touched `stages` is replayed on paper,
        twice. Then: the files it changed, by the listings that the code of 66499a8 writes of
        itself. Now: the same changes where their code stands today, by today's listings. A change
        is found definition by definition, a definition being a function, class or assignment at
        the top of a file whose tokens differ before and after, or which uses an import that
        differs. It counts in today's file of that name among those that took over its file
        (`benchmarks.code.moves`); in all of them if none has the name, and in others that have it.
        What a commit only moved is no change, nor are comments and docstrings.
Claim   at most ten files stand in more than ten listings; a commit makes at most a third of the
        steps stale in the mean, and `rollout` in at most ten of the 46 commits.

Example: python -m benchmarks.code.reach
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.code.changes import (
    CONTENT,
    PROGRAM,
    REST,
    Change,
    Source,
    changed_names,
    read_source,
)
from benchmarks.code.moves import FILES, NAMES
from stages.code import ROOT, files_of, step_name, steps
from stages.running.errors import BadInput, command
from stages.running.publish import write_json

BEFORE = "66499a892227a131349211ae3f17ef81b6e87fad"
MANY_STEPS, MAX_FILES = 10, 10
MAX_MEAN_FRAC, MAX_ROLLOUTS = 1 / 3, 10
ROLLOUT, OWN_STEPS = "rollout", 3
"""The dearest step; what it lists with at most two others is sampling itself."""
NARROW_STEPS = 5
"""What at most so many steps list is narrow enough: no cut of the code takes it out of a commit."""

Listings = Mapping[str, frozenset[str]]
"""The files of each step."""


class Replay(NamedTuple):
    """A commit: the steps it made stale, and those its changes would make stale today."""

    commit: str
    subject: str
    then: frozenset[str]
    now: frozenset[str]
    files: Mapping[str, Sequence[str]]
    """Today's files that its changes stand in, each with the definitions changed."""


def main(out: Path | None = None) -> None:
    """Print how far each file reaches, then how far the commits of the past would."""
    then, now = listings_before(), listings_today()
    reach = reach_of(now)
    print(reach_table(reach, len(now)), flush=True)
    replays = list(replayed(then, now))
    print(replay_table(replays, reach, now))
    if out is not None:
        commits = []
        for replay in replays:
            stale = {"then": sorted(replay.then), "now": sorted(replay.now)}
            commits.append({**replay._asdict(), **stale})
        write_json(out, {"num_steps_by_file": reach, "commits": commits})


def listings_today() -> Listings:
    """The listings of the tree."""
    listings = {}
    for step in steps():
        files = frozenset(file.relative_to(ROOT).as_posix() for file in files_of(step))
        listings[step_name(step)] = files
    return listings


def listings_before() -> Listings:
    """The listings of the commit `BEFORE`, as its own code writes them.

    Raises:
        BadInput: the history is not here.
    """
    with TemporaryDirectory() as name:
        archive = git("archive", BEFORE, "stages")
        subprocess.run(["tar", "--extract", "--directory", name], input=archive, check=True)
        program = [sys.executable, "-m", "stages.code", "--listings", "listings"]
        cold = {key: value for key, value in os.environ.items() if key != "KNOWHOW_WARM"}
        subprocess.run(program, cwd=name, env=cold, check=True)
        files = sorted(Path(name, "listings").iterdir())
        return {file.stem: frozenset(json.loads(file.read_bytes())) for file in files}


def git(*arguments: str, given: bytes = b"") -> bytes:
    """What git says of this repository.

    Raises:
        BadInput: it fails; of a clone without the history too.
    """
    program = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(program, input=given, capture_output=True, check=False)
    if done.returncode:
        raise BadInput(f"git {arguments[0]}: {done.stderr.decode().strip()}; needs all history")
    return done.stdout


def reach_of(listings: Listings) -> dict[str, int]:
    """For each file how many steps list it, most first."""
    counts = Counter(chain.from_iterable(listings.values()))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def replayed(then: Listings, now: Listings) -> Iterator[Replay]:
    """Every commit up to `BEFORE` that touched `stages`, oldest first."""
    today = sources_today()
    for commit, subject, changes in commits():
        names = {change.path for change in changes}
        files = files_today(changes, today)
        stale_then = frozenset(step for step, listed in then.items() if listed & names)
        stale_now = frozenset(step for step, listed in now.items() if listed & files.keys())
        yield Replay(commit, subject, stale_then, stale_now, files)


def sources_today() -> dict[str, Source]:
    """Every file under `stages` by its definitions; of what is no Python, all of it is one."""
    sources = {}
    for file in (ROOT / "stages").rglob("*"):
        name, is_python = file.relative_to(ROOT).as_posix(), file.suffix == ".py"
        if file.is_file() and file.parent.name != "__pycache__":
            sources[name] = read_source(file.read_bytes()) if is_python else Source({CONTENT: []})
    return sources


def commits() -> Iterator[tuple[str, str, list[Change]]]:
    """Each commit with the files under `stages` that it changed."""
    shown = ("--reverse", "--raw", "--no-renames", "--abbrev=40", "--format=%x00%H %s")
    log = git("log", *shown, BEFORE, "--", "stages")
    rows_of: dict[str, list[list[str]]] = {}
    names = set()
    for entry in log.decode().split("\0")[1:]:
        title, *lines = entry.splitlines()
        rows_of[title] = [line.split() for line in lines if line]
        for row in rows_of[title]:
            names.update(row[2:4])
    blobs = contents(names)
    for title, rows in rows_of.items():
        commit, _, subject = title.partition(" ")
        yield commit, subject, [Change(row[5], blobs[row[2]], blobs[row[3]]) for row in rows]


def contents(names: set[str]) -> dict[str, bytes]:
    """Files by the names git has for their contents; empty where there was none."""
    wanted = sorted(name for name in names if name.strip("0"))
    stream = git("cat-file", "--batch", given="\n".join(wanted).encode())
    by_oid = {"0" * 40: b""}
    for name in wanted:
        header, _, stream = stream.partition(b"\n")
        size = int(header.split()[2])
        by_oid[name], stream = stream[:size], stream[size + 1 :]
    return by_oid


def files_today(changes: Sequence[Change], today: Mapping[str, Source]) -> dict[str, list[str]]:
    """Today's files that hold what a commit changed, each with what it is."""
    files: dict[str, list[str]] = {}
    for path, name in changed_names(changes):
        for file in homes(path, name, today):
            files.setdefault(file, []).append(f"{path}: {name}")
    return {file: files[file] for file in sorted(files)}


def homes(path: str, name: str, today: Mapping[str, Source]) -> set[str]:
    """Today's files of a definition that stood in a file.

    Raises:
        BadInput: nothing says where the file went.
    """
    if (path, name) in NAMES:
        return {NAMES[path, name]}
    heirs = heirs_of(path, today)
    having = {file for file, source in today.items() if name in source.definitions}
    if not heirs:
        raise BadInput(f"{path} is gone; say in benchmarks/code/moves.py which files took it over")
    if having & heirs or name in (CONTENT, PROGRAM, REST):
        return having & heirs or heirs
    return heirs | having


def heirs_of(path: str, today: Iterable[str]) -> set[str]:
    """Today's files that took over a file, or the file itself."""
    folder = next((f"{above}" for above in Path(path).parents if f"{above}" in FILES), None)
    places = FILES.get(path, (path,))
    if folder is not None and path not in FILES:
        places = tuple(path.replace(folder, place, 1) for place in FILES[folder])
    folders = tuple(place for place in places if place.endswith("/"))
    return {file for file in today if file in places or file.startswith(folders)}


def reach_table(reach: Mapping[str, int], num_steps: int) -> str:
    """One line a file that several steps list."""
    lines = [f"{'steps':>5}  file"]
    lines += [f"{count:5}  {file}" for file, count in reach.items()]
    num_many = sum(count > MANY_STEPS for count in reach.values())
    verdict = "holds" if num_many <= MAX_FILES else "DOES NOT HOLD"
    lines.append(
        f"{num_many} of {len(reach)} files in more than {MANY_STEPS} of {num_steps} steps: "
        f"at most {MAX_FILES} {verdict}"
    )
    return "\n".join(lines)


def replay_table(replays: Sequence[Replay], reach: Mapping[str, int], listings: Listings) -> str:
    """One line a commit, and what holds of all."""
    sampling = {file for file in listings[ROLLOUT] if reach[file] <= OWN_STEPS}
    lines = [f"{'commit':8}{'then':>5}{'now':>5}  {ROLLOUT}"]
    for replay in replays:
        now = "own" if sampling & replay.files.keys() else "now" if ROLLOUT in replay.now else ""
        sampled = f"{'then' if ROLLOUT in replay.then else '':5}{now}"
        counts = f"{len(replay.then):5}{len(replay.now):5}"
        lines.append(f"{replay.commit[:7]:8}{counts}  {sampled:9} {replay.subject[:60]}")
    mean_then, num_then = tally([replay.then for replay in replays])
    mean_now, num_now = tally([replay.now for replay in replays])
    frac = mean_now / len(listings)
    holds = frac <= MAX_MEAN_FRAC and num_now <= MAX_ROLLOUTS
    num_own = sum(bool(sampling & replay.files.keys()) for replay in replays)
    narrow = {file for file, count in reach.items() if count <= NARROW_STEPS}
    mean_narrow, num_narrow = tally([stale(listings, replay.files, narrow) for replay in replays])
    lines += [
        f"{len(replays)} commits; steps stale in the mean: {mean_then:.1f} then, "
        f"{mean_now:.1f} now, {frac:.0%} of {len(listings)}; "
        f"{ROLLOUT} in {num_then} then, {num_now} now",
        f"{num_own} of these changed a file that at most {OWN_STEPS} steps list",
        f"of files that at most {NARROW_STEPS} steps list alone: {mean_narrow:.1f} steps stale, "
        f"{ROLLOUT} in {num_narrow}",
        f"at most {MAX_MEAN_FRAC:.0%} and {MAX_ROLLOUTS}: {'holds' if holds else 'DOES NOT HOLD'}",
    ]
    return "\n".join(lines)


def stale(listings: Listings, files: Iterable[str], counted: set[str]) -> frozenset[str]:
    """Steps that list one of the files, of those that are counted."""
    changed = counted.intersection(files)
    return frozenset(step for step, listed in listings.items() if listed & changed)


def tally(replays: Sequence[frozenset[str]]) -> tuple[float, int]:
    """Steps stale in the mean of commits, and commits that make `rollout` stale."""
    return mean(map(len, replays)), sum(ROLLOUT in steps for steps in replays)


if __name__ == "__main__":
    command(main)

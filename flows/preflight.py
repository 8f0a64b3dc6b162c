"""What stands in the way of a night, all of it at once and before anything is changed."""

import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from flows import champion, git, nights, rounds, run, yaml_text
from flows.champion import GRAPH, LOCK, Champion
from flows.nights import Night
from flows.settings import Settings

DEVICE = "KNOWHOW_DEVICE"
CPU_LOCK = Path("data/.scratch/device.lock")
GPU_NODE = Path("/dev/nvidia0")
WEIGHTS_PER_CHECKPOINT = 3  # the weights and the optimizer's two moments of each
CHECKPOINTS_FREE = 2
PROBE = ".knowhow-probe"
DATA = "data/"


class Unfit(Exception):
    """One thing that stands in the way: what, how many, the first of them, and what to do."""


class Plan(NamedTuple):
    """The night that is to be run, by which settings, and whether it goes on with what it began."""

    settings: Settings
    night: Night
    is_resumed: bool


def plan(settings: Settings, night: Night) -> Plan:
    """The plan of a night that has no record yet."""
    return Plan(settings, night, git.has_branch(night.branch))


def obstacles(plan: Plan) -> list[str]:
    """All that stands in the way; nothing where the night can begin. The repository and the data stay as they are."""
    return list(dict.fromkeys(_refusals(plan)))


def _refusals(plan: Plan) -> Iterator[str]:
    for check in CHECKS:
        try:
            check(plan)
        except (Unfit, champion.NoChampion, git.GitError, rounds.Refused, run.Busy, yaml_text.NotYaml) as error:
            yield str(error)


def tree_is_clean(plan: Plan) -> None:
    """What a night commits is its own. One that goes on finds what it left itself."""
    changed = git.changes()
    if plan.is_resumed and git.branch() == plan.night.branch:
        changed = [path for path in changed if not _is_own(path, plan)]
    if changed:
        raise Unfit(f"the tree has {len(changed)} uncommitted change(s), first {changed[0]}; commit or remove them")


def _is_own(path: str, plan: Plan) -> bool:
    """Whether the night itself made this change, before it was killed."""
    if path == str(rounds.PARAMS):
        head = git.read("HEAD", rounds.PARAMS) or ""
        return with_night(rounds.PARAMS.read_text(encoding="utf-8"), plan) == with_night(head, plan)
    if path == str(GRAPH):
        return GRAPH.read_text(encoding="utf-8") == champion.moved(git.read("HEAD", GRAPH) or "", plan.night.round)
    return path == str(LOCK) or path.startswith(DATA)


def with_night(text: str, plan: Plan) -> str:
    """params.yaml with the night's round, trained on from the champion, and the exams of both.

    Raises:
        Refused: the recipe is unknown, or the name is taken by an init.
    """
    settings, name = plan.settings, plan.night.round
    policy = champion.at("HEAD").policy
    if name not in yaml_text.values(text)["rounds"]:
        text = rounds.with_round(text, name, policy, settings.recipe, None, settings.judge, None, False)
    for examined in (policy, name):
        text = rounds.with_exam(text, examined, "exact")
    return text


def round_is_possible(plan: Plan) -> None:
    """The recipe and the judge exist."""
    text = git.read("HEAD", rounds.PARAMS)
    if text is None:
        raise Unfit(f"{rounds.PARAMS} is not committed; commit it")
    with_night(text, plan)
    judges = ["exact", *yaml_text.values(text)["judges"]]
    if plan.settings.judge not in judges:
        raise Unfit(f"{rounds.PARAMS} has no judge {plan.settings.judge}; choose from {judges} in nightly.yaml")


def someone_commits(plan: Plan) -> None:
    """Git knows in whose name, and need not make one up from the machine's."""
    for who in ("AUTHOR", "COMMITTER"):
        try:
            git.git("-c", "user.useConfigOnly=true", "var", f"GIT_{who}_IDENT")
        except git.GitError:
            raise Unfit("git has no name to commit under; set user.name and user.email with `git config`") from None


def no_other_run(plan: Plan) -> None:
    """No other program runs stages of this checkout."""
    with run.exclusive():
        pass


def no_other_night(plan: Plan) -> None:
    """The night before came to its end."""
    other = nights.unfinished()
    if other and other != plan.night:
        raise Unfit(
            f"night {other} is unfinished on the branch that is checked out; go on with it by `knowhow nightly run "
            f"--date {other}`, or leave it with `git switch`"
        )


def accelerator_is_free(plan: Plan) -> None:
    """No job holds the accelerator's lock, in this checkout or, on a GPU, in any."""
    node = GPU_NODE if os.environ.get(DEVICE, "cuda" if GPU_NODE.exists() else "cpu") == "cuda" else CPU_LOCK
    if not node.exists():
        return
    with node.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unfit(f"another job holds the accelerator; see who with `fuser -v {node}`, and let it end") from None


def disk_is_free(plan: Plan) -> None:
    """There is room for what the trainer keeps, twice."""
    needed = CHECKPOINTS_FREE * WEIGHTS_PER_CHECKPOINT * champion.at("HEAD").num_bytes
    free = shutil.disk_usage(".").free
    if free < needed:
        raise Unfit(f"{free / 2**30:.2f} GiB of disk are free, a night may need {needed / 2**30:.2f}; free some")


def champion_is_at_hand(plan: Plan) -> None:
    """The champion's policy is here, in the cache or in the remote."""
    present = champion.at("HEAD")
    if not present.path.exists() and _is_lost(present, plan.settings):
        raise Unfit(
            f"the champion {present.path} is neither here, nor in the cache, nor in the remote; push it from where it "
            "was made with `dvc push`, or name another in dvc.yaml"
        )


def _is_lost(present: Champion, settings: Settings) -> bool:
    remote = ["--remote", settings.remote] if settings.remote else []
    command = [sys.executable, "-m", "dvc", "data", "status", "--json", "--not-in-remote", *remote, str(present.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=settings.deadline_seconds)
    if done.returncode:
        raise Unfit(f"dvc data status failed: {' '.join(done.stderr.split())}")
    found = json.loads(done.stdout)
    return all(any(path.rstrip("/") == str(present.path) for path in found.get(where, [])) for where in NOWHERE)


def remote_works(plan: Plan) -> None:
    """The remote is set, verifies what it gives, and takes, gives back and drops a small file."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(".") as repo:
            name = plan.settings.remote or repo.config["core"].get("remote")
            if name is None:
                raise Unfit("DVC has no default remote; add one with `dvc remote add --default NAME URL`")
            remote = repo.cloud.get_remote(name=name)
            if not repo.config["remote"][name].get("verify"):
                raise Unfit(
                    f"DVC takes any bytes from remote {name}; set `dvc remote modify {name} verify true` and commit"
                )
    except DvcException as error:
        raise Unfit(f"{error}; `dvc remote list` shows what there is, nightly.yaml names one") from None
    path = remote.fs.join(remote.path, f"{PROBE}-{os.getpid()}-{time.time_ns()}")
    try:
        remote.fs.put_file(io.BytesIO(PROBE.encode()), path)
        has_kept = remote.fs.cat_file(path) == PROBE.encode()
        remote.fs.rm_file(path)
    except Exception as error:  # of whatever kind the remote's library raises
        why = " ".join(str(error).split())
        raise Unfit(f"remote {name} takes no file: {why}; try `dvc push --remote {name}`") from None
    if not has_kept:
        raise Unfit(f"remote {name} gave back other bytes than it was given; try another remote")


def key_is_there(plan: Plan) -> None:
    """The key to sign with exists, and not where it would be committed."""
    key = plan.settings.signing_key
    if key is None:
        return
    if not key.is_file():
        raise Unfit(f"signing_key {key} of nightly.yaml is missing; make one, or set null")
    if key.resolve().is_relative_to(Path.cwd()):
        raise Unfit(f"signing_key {key} of nightly.yaml lies in the checkout; move it out")


NOWHERE = ("not_in_cache", "not_in_remote")
CHECKS: tuple[Callable[[Plan], None], ...] = (
    no_other_night,
    no_other_run,
    tree_is_clean,
    someone_commits,
    accelerator_is_free,
    disk_is_free,
    champion_is_at_hand,
    round_is_possible,
    remote_works,
    key_is_there,
)

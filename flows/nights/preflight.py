"""What prevents a night from beginning, all of it at once and before anything is changed."""

import fcntl
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flows.nights import champion, night
from flows.nights.champion import Champion
from flows.nights.night import NightPlan
from flows.nights.settings import Settings
from flows.project import git, params_file, yaml_text
from flows.project.paths import DATA, GRAPH, LOCK, PARAMS, SCRATCH
from flows.project.printable import without_secrets
from flows.running import cache, stage

if TYPE_CHECKING:
    from dvc.data_cloud import Remote

DEVICE = "KNOWHOW_DEVICE"
CPU_LOCK = SCRATCH / "device.lock"
GPU_NODE = Path("/dev/nvidia0")
WEIGHTS_PER_CHECKPOINT = 3  # the weights and the optimizer's two moments of each
CHECKPOINTS_FREE = 2
PROBE = ".knowhow-probe"
SECRETS = Path(".dvc/config.local")
SECRET = re.compile(
    r"^\s*\w*(key|secret|password|token|connection_string)\w*\s*=|://[^/\s]*@", re.M
)
NOWHERE = ("not_in_cache", "not_in_remote")


class Unfit(Exception):
    """One thing that prevents the night: what, how many, the first of them, and what to do."""


REFUSALS = (
    Unfit,
    champion.NoChampion,
    git.GitError,
    params_file.BadParams,
    stage.Busy,
    yaml_text.NotYaml,
)


def obstacles(plan: NightPlan) -> list[str]:
    """All that prevents the night; nothing where it can begin.

    The repository and the data stay as they are.
    """
    return list(dict.fromkeys(_refusals(plan)))


def _refusals(plan: NightPlan) -> Iterator[str]:
    for check in CHECKS:
        try:
            check(plan)
        except REFUSALS as error:
            yield str(error)


def tree_is_clean(plan: NightPlan) -> None:
    """What a night commits is its own; one that goes on meets what it left itself."""
    changed = git.changes()
    if plan.is_resumed:
        changed = [path for path in changed if not _is_of_night(path, plan)]
    if changed:
        raise Unfit(
            f"the tree has {len(changed)} uncommitted change(s), first {changed[0]}; "
            "commit or remove them"
        )


def _is_of_night(path: str, plan: NightPlan) -> bool:
    """Whether the night itself made this change, before it was killed.

    Its results are still there where a person has since checked out another branch.
    """
    if git.branch() == plan.night.branch and path in (str(PARAMS), str(GRAPH)):
        return _is_edit_of_night(path, plan)
    return path == str(LOCK) or path.startswith(f"{DATA}/")


def _is_edit_of_night(path: str, plan: NightPlan) -> bool:
    if path == str(PARAMS):
        text, head = PARAMS.read_text(encoding="utf-8"), git.read("HEAD", PARAMS) or ""
        return night.with_night(text, plan) == night.with_night(head, plan)
    text, head = GRAPH.read_text(encoding="utf-8"), git.read("HEAD", GRAPH) or ""
    return text == champion.moved(head, plan.night.round)


def round_is_possible(plan: NightPlan) -> None:
    """The recipe and the judge exist, and params.yaml is valid with the night's round."""
    text = git.read("HEAD", PARAMS)
    if text is None:
        raise Unfit(f"{PARAMS} is not committed; commit it")
    proposed = night.with_night(text, plan)
    judges = ["exact", *yaml_text.values(text)["judges"]]
    if plan.settings.judge not in judges:
        raise Unfit(
            f"{PARAMS} has no judge {plan.settings.judge}; choose from {judges} in nightly.yaml"
        )
    params_file.check_text(proposed)


def recipe_is_no_control(plan: NightPlan) -> None:
    """The night learns by its recipe's own objective, not by a stand-in for its credit."""
    text = git.read("HEAD", PARAMS)
    recipes = yaml_text.values(text)["recipes"] if text else {}
    recipe = recipes.get(plan.settings.recipe) or {}
    control = (recipe.get("update") or {}).get("control")
    if control is not None:
        raise Unfit(
            f"recipe {plan.settings.recipe} has update.control {control}: such an arm is for "
            "comparison, and no champion comes of it; name another recipe in nightly.yaml"
        )


def someone_commits(plan: NightPlan) -> None:
    """Git knows in whose name, and need not make one up from the machine's."""
    for who in ("AUTHOR", "COMMITTER"):
        try:
            git.git("-c", "user.useConfigOnly=true", "var", f"GIT_{who}_IDENT")
        except git.GitError:
            raise Unfit(
                "git has no name to commit under; set user.name and user.email with `git config`"
            ) from None


def git_is_free(plan: NightPlan) -> None:
    """No other git holds a lock; one that was killed may have left it, and the night drops that."""
    held = git.locks()
    other = next(git.at_work(), None) if held else None
    if other:
        raise Unfit(f"git is at work here, process {other.pid}, and holds {held[0]}; let it end")


def secrets_are_kept(plan: NightPlan) -> None:
    """What only this machine's user may read is not there for all."""
    if not SECRETS.exists() or not SECRETS.stat().st_mode & 0o077:
        return
    if SECRET.search(SECRETS.read_text(encoding="utf-8", errors="replace")):
        raise Unfit(f"others can read {SECRETS}, where remotes' keys stand; `chmod 600 {SECRETS}`")


def no_other_run(plan: NightPlan) -> None:
    """No other program runs stages of this checkout."""
    with stage.exclusive():
        pass


def no_other_night(plan: NightPlan) -> None:
    """The night before came to its end."""
    other = night.unfinished()
    if other and other != plan.night:
        raise Unfit(
            f"night {other} is unfinished on the branch that is checked out; go on with it by "
            f"`knowhow nightly run --date {other}`, or leave it with `git switch`"
        )


def accelerator_is_free(plan: NightPlan) -> None:
    """No job holds the accelerator's lock, in this checkout or, on a GPU, in any."""
    device = os.environ.get(DEVICE, "cuda" if GPU_NODE.exists() else "cpu")
    node = GPU_NODE if device == "cuda" else CPU_LOCK
    if not node.exists():
        return
    with node.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unfit(
                f"another job holds the accelerator; see which with `fuser -v {node}`, "
                "and let it end"
            ) from None


def disk_is_free(plan: NightPlan) -> None:
    """There is room for what the trainer keeps, twice."""
    needed = CHECKPOINTS_FREE * WEIGHTS_PER_CHECKPOINT * champion.at("HEAD").num_bytes
    free = shutil.disk_usage(".").free
    if free < needed:
        raise Unfit(
            f"{free / 2**30:.2f} GiB of disk are free, a night may need {needed / 2**30:.2f}; "
            "free some"
        )


def champion_is_at_hand(plan: NightPlan) -> None:
    """The champion's policy is here, in the cache or in the remote."""
    present = champion.at("HEAD")
    if not present.path.exists() and _is_lost(present, plan.settings):
        raise Unfit(
            f"the champion {present.path} is neither here, nor in the cache, nor in the remote; "
            "push it from where it was made with `dvc push`, or name another in dvc.yaml"
        )


def _is_lost(present: Champion, settings: Settings) -> bool:
    remote = ["--remote", settings.remote] if settings.remote else []
    command = [sys.executable, "-m", "dvc", "data", "status", "--json", "--not-in-remote"]
    done = subprocess.run(
        [*command, *remote, str(present.path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=settings.deadline_seconds,
    )
    if done.returncode:
        raise Unfit(f"dvc data status failed: {' '.join(done.stderr.split())}")
    status = json.loads(done.stdout)
    for where in NOWHERE:
        if str(present.path) not in {path.rstrip("/") for path in status.get(where, [])}:
            return False
    return True


def cache_is_sound(plan: NightPlan) -> None:
    """What the cache would give back is what its names say."""
    try:
        spoilt = cache.verify(is_quick=True, is_dropped=False)
    except cache.NoCache as error:
        raise Unfit(str(error)) from None
    if spoilt:
        raise Unfit(
            f"{len(spoilt)} object(s) of DVC's cache are spoilt, first {spoilt[0]}; run `knowhow "
            "cache verify`, which drops them"
        )


def remote_works(plan: NightPlan) -> None:
    """The remote is set, verifies what it gives, and takes, gives back and drops a small file."""
    name, remote = _remote(plan.settings)
    path = remote.fs.join(remote.path, f"{PROBE}-{os.getpid()}-{time.time_ns()}")
    try:
        remote.fs.put_file(io.BytesIO(PROBE.encode()), path)
        has_kept = remote.fs.cat_file(path) == PROBE.encode()
        remote.fs.rm_file(path)
    except Exception as error:  # of whatever kind the remote's library raises
        why = without_secrets(" ".join(str(error).split()))
        raise Unfit(f"remote {name} takes no file: {why}; try `dvc push --remote {name}`") from None
    if not has_kept:
        raise Unfit(f"remote {name} gave back other bytes than it was given; try another remote")


def _remote(settings: Settings) -> "tuple[str, Remote]":
    """The remote that nights push to, by its name.

    Raises:
        Unfit: there is none, or it does not verify.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(".") as repo:
            name = settings.remote or repo.config["core"].get("remote")
            if name is None:
                raise Unfit(
                    "DVC has no default remote; add one with `dvc remote add --default NAME URL`"
                )
            remote = repo.cloud.get_remote(name=name)
            if not repo.config["remote"][name].get("verify"):
                raise Unfit(
                    f"DVC takes any bytes from remote {name}; set `dvc remote modify {name} verify "
                    "true` and commit"
                )
            return name, remote
    except DvcException as error:
        raise Unfit(
            f"{error}; `dvc remote list` shows what there is, nightly.yaml names one"
        ) from None


def key_is_there(plan: NightPlan) -> None:
    """The key to sign with exists, and not where it would be committed."""
    key = plan.settings.signing_key
    if key is None:
        return
    if not key.is_file():
        raise Unfit(f"signing_key {key} of nightly.yaml is missing; make one, or set null")
    if key.resolve().is_relative_to(Path.cwd()):
        raise Unfit(f"signing_key {key} of nightly.yaml lies in the checkout; move it out")


CHECKS: tuple[Callable[[NightPlan], None], ...] = (
    no_other_night,
    no_other_run,
    tree_is_clean,
    git_is_free,
    secrets_are_kept,
    someone_commits,
    accelerator_is_free,
    disk_is_free,
    champion_is_at_hand,
    cache_is_sound,
    round_is_possible,
    recipe_is_no_control,
    remote_works,
    key_is_there,
)

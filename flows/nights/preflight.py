"""What prevents a night from beginning, all of it at once and before anything is changed."""

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from flows.nights import champion, night, worktree
from flows.nights.ending import PROMOTED
from flows.nights.night import NightPlan
from flows.nights.stored import Unfit, cache_is_sound, champion_is_at_hand, remote_works
from flows.project import git, params_file, yaml_text
from flows.project.paths import PARAMS, SCRATCH
from flows.running import stage

DEVICE = "KNOWHOW_DEVICE"
CPU_LOCK = SCRATCH / "device.lock"
GPU_NODE = Path("/dev/nvidia0")
WEIGHTS_PER_CHECKPOINT = 3  # the weights and the optimizer's two moments of each
CHECKPOINTS_FREE = 2
SECRETS = Path(".dvc/config.local")
SECRET = re.compile(
    r"^\s*\w*(key|secret|password|token|connection_string)\w*\s*=|://[^/\s]*@", re.M
)


REFUSALS = (
    Unfit,
    champion.NoChampion,
    git.GitError,
    params_file.BadParams,
    stage.Busy,
    worktree.Locked,
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
    """What a person sees here is what the night begins with: it begins at a commit."""
    changed = [] if plan.is_resumed else git.changes()
    if changed:
        raise Unfit(
            f"the tree has {len(changed)} uncommitted change(s), first {changed[0]}; "
            "commit or remove them"
        )


def branch_is_free(plan: NightPlan) -> None:
    """No person has the night's branch checked out."""
    for folder, checked_out in git.worktrees().items():
        if checked_out == plan.night.branch and folder != worktree.FOLDER.resolve():
            raise Unfit(
                f"{checked_out} is checked out in {folder}, and the night needs it in a worktree "
                "of its own; `git switch --detach` there"
            )


def worktree_is_usable(plan: NightPlan) -> None:
    """The nights' worktree is whole, or can be made."""
    worktree.need_usable()


def promotions_are_kept(plan: NightPlan) -> None:
    """The night begins with what the last promotion made champion."""
    for other in reversed(night.begun()):
        record = night.record(other)
        if record and record["verdict"] == PROMOTED:
            if git.read(plan.base, other.file) is None:
                raise Unfit(
                    f"night {other} made {record['champion_after']} champion, and what is checked "
                    f"out here does not have that night; `git merge {other.branch}`"
                )
            return


def round_is_possible(plan: NightPlan) -> None:
    """The recipe and the judge exist, and params.yaml is valid with the night's round."""
    text = git.read(plan.base, PARAMS)
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
    text = git.read(plan.base, PARAMS)
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
            f"night {other} is unfinished; go on with it by `knowhow nightly run --date {other}`, "
            f"or leave it with `git worktree remove --force {worktree.FOLDER}`"
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
    needed = CHECKPOINTS_FREE * WEIGHTS_PER_CHECKPOINT * champion.at(plan.base).num_bytes
    free = shutil.disk_usage(".").free
    if free < needed:
        raise Unfit(
            f"{free / 2**30:.2f} GiB of disk are free, a night may need {needed / 2**30:.2f}; "
            "free some"
        )


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
    branch_is_free,
    worktree_is_usable,
    tree_is_clean,
    promotions_are_kept,
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

"""The worktree in which nights work, so that they neither read nor change a person's checkout.

It lies under `data/.scratch`, has the night's branch checked out while the night is unfinished, and
shares the checkout's repository, DVC's cache and remotes, logs and locks. Nothing is in it alone
that cannot be made again: where it is spoilt, it is made anew.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from flows.project import git, yaml_text
from flows.project.paths import PARAMS, SCRATCH

FOLDER = SCRATCH / "knowhow-night"
"""Its place in the checkout; git knows it by the name of this folder."""
HOME = Path(*[".."] * len(FOLDER.parts))
"""The checkout, as seen from the worktree."""
PAGES = (FOLDER, Path())
"""The checkouts whose report is shown beside nights: the worktree's, once there is one."""
SHARED = ("logs", "run.lock", "device.lock")
"""What the runs of the checkout and of the worktree have in common of `data/.scratch`."""
NAMED = ("checkpoint", "path")
"""The keys of params.yaml that name a file or folder which git may not have."""
UNFINISHED = "initializing"  # git's own word, where it was killed while it made a worktree


class Locked(Exception):
    """The worktree is spoilt, and a person told git to leave it as it is."""


def branch() -> str:
    """The branch that is checked out there, even where its folder is gone; empty without one."""
    registered = _registered()
    if not registered.is_dir():
        return ""
    return git.git("--git-dir", str(registered), "branch", "--show-current")


def check_out(wanted: str, base: str) -> None:
    """Have a branch checked out there, made at the commit `base` where there is none.

    What a killed night left on this branch stays; what lies on another one is no night's any more.

    Raises:
        GitError: another worktree has the branch.
        Locked: it would have to be made anew, and must not.
    """
    need_usable()
    if not _is_sound():
        _make_anew(base)
    if branch() != wanted:
        where = [wanted] if git.has_branch(wanted) else ["--create", wanted, base]
        git.git("switch", "--quiet", "--discard-changes", *where, folder=FOLDER)
        git.git("clean", "--quiet", "--force", "-d", folder=FOLDER)
    _share_scratch()
    _share_storage()
    _share_named()


def release(finished: str) -> None:
    """Leave a branch, so that a person can check it out."""
    if branch() == finished and _is_sound():
        git.git("switch", "--quiet", "--detach", folder=FOLDER)


def need_usable() -> None:
    """See that it is whole, or can be made anew.

    Raises:
        Locked: it would have to be made anew, and must not.
    """
    reason = _lock_reason()
    if reason is not None and reason != UNFINISHED and not _is_sound():
        raise Locked(
            f"the nights' worktree {FOLDER} is gone or spoilt, and locked ({reason or 'no reason'})"
            f"; `git worktree unlock {FOLDER}`"
        )


def _registered() -> Path:
    """Where git keeps the worktree's HEAD and index."""
    return Path(git.git("rev-parse", "--git-common-dir"), "worktrees", FOLDER.name).resolve()


def _lock_reason() -> str | None:
    with suppress(FileNotFoundError):
        return (_registered() / "locked").read_text(encoding="utf-8").strip()
    return None


def _is_sound() -> bool:
    """Whether the folder is this repository's worktree, and whole.

    In a checkout that was moved or copied it leads to where that was before; without its file
    `.git` it would be taken for a folder of the checkout.
    """
    if _lock_reason() == UNFINISHED:
        return False
    try:
        own = git.git("rev-parse", "--absolute-git-dir", folder=FOLDER)
    except (git.GitError, OSError):
        return False
    return Path(own).resolve() == _registered()


def _make_anew(base: str) -> None:
    for folder in (_registered(), FOLDER):
        if folder.exists():
            shutil.rmtree(folder)
    git.git("worktree", "add", "--detach", str(FOLDER), base)


def _share_scratch() -> None:
    """Logs are where people look for them; runs and jobs for the accelerator take turns."""
    (SCRATCH / "logs").mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        _link(SCRATCH / name)


def _share_storage() -> None:
    """Give its DVC the checkout's cache, remotes and secrets."""
    from dvc.config import Config, merge

    home, settings = Config(dvc_dir=".dvc"), dict[str, Any]()
    if "dir" not in home["cache"]:
        settings["cache"] = {"dir": str(Path(".dvc/cache").absolute())}
    for level in ("repo", "local"):
        merge(settings, home.load_one(level))  # its paths are then relative to no folder
    local = FOLDER / ".dvc" / Config.CONFIG_LOCAL
    local.unlink(missing_ok=True)
    local.touch(mode=0o600)
    with Config(dvc_dir=str(local.parent)).edit("local") as shared:
        merge(shared, settings)


def _share_named() -> None:
    """Checkpoints and datasets that params.yaml names and git does not have are the checkout's."""
    for path in _named(yaml_text.values((FOLDER / PARAMS).read_text(encoding="utf-8"))):
        if not path.is_absolute() and path.exists():
            _link(path)


def _named(content: Any) -> list[Path]:
    if not isinstance(content, dict):
        return []
    found = [path for value in content.values() for path in _named(value)]
    values = (content.get(key) for key in NAMED)
    return found + [Path(value) for value in values if isinstance(value, str)]


def _link(path: Path) -> None:
    """Lead from the worktree to a file or folder of the checkout, where it has none itself."""
    here = FOLDER / path
    here.parent.mkdir(parents=True, exist_ok=True)
    if not here.exists() and not here.is_symlink():
        here.symlink_to(os.path.relpath(path.absolute(), here.parent.resolve()))

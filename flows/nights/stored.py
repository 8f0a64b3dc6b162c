"""Whether what a night needs of DVC's storage is there: the champion, a sound cache, a remote."""

import io
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from flows.nights import champion
from flows.nights.champion import Champion
from flows.nights.night import NightPlan
from flows.nights.settings import Settings
from flows.project.printable import without_secrets
from flows.running import cache

if TYPE_CHECKING:
    from dvc.data_cloud import Remote

PROBE = ".knowhow-probe"
NOWHERE = ("not_in_cache", "not_in_remote")


class Unfit(Exception):
    """One thing that prevents the night: what, how many, the first of them, and what to do."""


def champion_is_at_hand(plan: NightPlan) -> None:
    """The champion's policy is here, in the cache or in the remote."""
    present = champion.at(plan.base)
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

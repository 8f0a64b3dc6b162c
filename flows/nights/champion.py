"""The champion, the policy from which each night trains on.

It is the artifact `champion` of dvc.yaml; tags of GTO register it.
"""

from dataclasses import dataclass
from pathlib import Path

from flows.project import git, yaml_text
from flows.project.paths import GRAPH, LOCK, PARAMS, POLICIES, SCRATCH

NAME = "champion"


class NoChampion(Exception):
    """dvc.yaml names no champion, or one that no stage made."""


@dataclass(frozen=True)
class Champion:
    """A policy and its folder."""

    policy: str
    path: Path
    num_bytes: int


def at(revision: str) -> Champion:
    """The champion of a revision.

    Raises:
        NoChampion: there is none, or dvc.lock has no such output.
    """
    content = yaml_text.values(git.read(revision, GRAPH) or "{}")
    try:
        path = str(content["artifacts"][NAME]["path"])
    except (KeyError, TypeError):
        raise NoChampion(
            f"{GRAPH} names no champion; give artifacts.{NAME}.path the folder of a policy"
        ) from None
    policy = Path(path)
    params = yaml_text.values(git.read(revision, PARAMS) or "{}")
    policies = [*(params.get("inits") or {}), *(params.get("rounds") or {})]
    if policy.parent != POLICIES or policy.name not in policies:
        raise NoChampion(
            f"artifacts.{NAME}.path of {GRAPH} is {path}, which is no policy of {PARAMS}; name "
            f"{POLICIES}/ and one of {policies}"
        )
    stages = yaml_text.values(git.read(revision, LOCK) or "{}").get("stages") or {}
    for stage in stages.values():
        for out in stage.get("outs", []):
            if out["path"] == path:
                return Champion(policy.name, policy, int(out["size"]))
    raise NoChampion(
        f"artifacts.{NAME}.path of {GRAPH} is {path}, which no stage in the committed {LOCK} made; "
        "name another, or run `knowhow train` and commit"
    )


def moved(text: str, policy: str) -> str:
    """dvc.yaml with another policy, beside the present one, as champion."""
    content = yaml_text.load(text)
    artifact = content["artifacts"][NAME]
    artifact["path"] = str(Path(artifact["path"]).with_name(policy))
    return yaml_text.dump(content)


def promote(policy: str) -> None:
    """Name another policy in dvc.yaml."""
    beside = SCRATCH / GRAPH.name  # which git ignores
    beside.write_text(moved(GRAPH.read_text(encoding="utf-8"), policy), encoding="utf-8")
    beside.replace(GRAPH)


def register(version: str, commit: str, policy: str) -> None:
    """Tag the commit as this version of the champion, once."""
    from gto.api import register as gto_register

    if not git.git("tag", "--list", f"{NAME}@{version}"):
        gto_register(".", NAME, commit, version=version, message=f"{policy} becomes champion")

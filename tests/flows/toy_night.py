"""A project whose nights take seconds: real DVC, git and params.yaml, and toy stages.

The stages write what `knobs.json` says.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from fixtures.checkouts import PROFILES, ROOT, succeed
from tests.flows.command import knowhow as run_knowhow

KNOBS: dict[str, Any] = {"difference": 0.1, "leaks": False, "exit_code": 0, "waits": False}
GRAPH = """stages:
  sft:
    cmd: python toy.py sft r0
    outs: [data/policies/r0]
  update:
    foreach: ${rounds}
    do:
      cmd: python toy.py update ${key}
      params: ["rounds.${key}"]
      deps: ["data/policies/${item.parent}"]
      outs: ["data/policies/${key}", "data/rounds/${key}/validation.json"]
      metrics:
        - "data/metrics/updates/${key}.json": {cache: false}
  grade:
    foreach: ${exams}
    do:
      cmd: python toy.py grade ${key}
      deps: ["data/policies/${key}"]
      outs: ["data/exams/${key}"]
  evaluate:
    foreach: ${exams}
    do:
      cmd: python toy.py evaluate ${key}
      deps: ["data/exams/${key}"]
      metrics:
        - "data/metrics/exams/${key}.json": {cache: false}
  compare:
    cmd: python toy.py compare all
    params: [exams]
    deps: [data/exams]
    metrics:
      - data/report/comparisons.json: {cache: false}

artifacts:
  champion:  # the best so far
    path: data/policies/s1
    type: model
"""
STAGES = """
import itertools, json, os, pathlib, sys, time

stage, name = sys.argv[1:]
knobs = json.loads(pathlib.Path("knobs.json").read_text())
is_of_night = name.startswith("n2")


def write(path, content):
    path = pathlib.Path("data", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


if stage == "update" and is_of_night:
    pathlib.Path("started").touch()
    while knobs["waits"] and not pathlib.Path("over").exists():
        time.sleep(0.1)
    if knobs["exit_code"]:
        print(f"error: {pathlib.Path.cwd()}/data is bad", file=sys.stderr)
        sys.exit(knobs["exit_code"])
if stage in ("sft", "update"):
    write(f"policies/{name}/weights", {"policy": name})
if stage == "update":
    tables = {"scores": {"expectations": [{"success": True}]}}
    write(f"rounds/{name}/validation.json", {"success": True, "tables": tables})
    write(f"metrics/updates/{name}.json", {"entropy_nats": {"first": 0.5, "last": 0.4}})
if stage == "grade":
    write(f"exams/{name}/grades", {"policy": name})
if stage == "evaluate":
    level = {"repeat_frac": 0.1, "forced_frac": {"budget_27": 0.9}}
    level["used_tokens"] = {"budget_27": 20.0}
    level["self_verification"] = {"false_positive_frac": {"mean": 0.05}}
    write(f"metrics/exams/{name}.json", {"all": level})
if stage == "compare":
    mean = knobs["difference"]
    interval = {"budget_27": {"low": mean - 0.05, "mean": mean, "high": mean + 0.05}}
    levels = dict.fromkeys(["all", "difficulty_2", "difficulty_3", "failure_low"], interval)
    policies = sorted(path.name for path in pathlib.Path("data/exams").iterdir())
    pairs = itertools.permutations(policies, 2)
    write("report/comparisons.json", {f"{a}_minus_{b}": levels for a, b in pairs})
"""
AUDIT = """
import json, pathlib, sys

command, policy, *_ = sys.argv[1:]
if command == "sign":
    path = pathlib.Path("data/attestations", f"{policy}.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
elif json.loads(pathlib.Path("knobs.json").read_text())["leaks"]:
    print(json.dumps({"findings": ["p1"]}))
    sys.exit(1)
"""


def make_project(folder: Path) -> Path:
    """A checkout none of whose stages has run, with a remote in it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROFILES / "tiny.yaml", folder / "params.yaml")
    settings = (ROOT / "nightly.yaml").read_text().replace("recipe: information", "recipe: sampled")
    files = {
        "nightly.yaml": settings.replace("retries: 2", "retries: 0"),
        "dvc.yaml": GRAPH,
        "toy.py": STAGES,
        "lineage/__init__.py": "",
        "lineage/__main__.py": AUDIT,
        "knobs.json": json.dumps(KNOBS),
        ".gitignore": "__pycache__\n/started\n/over\n/stderr.txt\n/.venv\n/data/.scratch\n",
        "data/.gitignore": (ROOT / "data/.gitignore").read_text(),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    succeed(["git", "init", "--quiet", "--initial-branch", "main"], folder)
    succeed(["git", "config", "user.email", "test@example.com"], folder)
    succeed(["git", "config", "user.name", "Test"], folder)
    succeed(["dvc", "init", "--quiet"], folder)
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, folder / ".dvc" / name)
    return folder


def save(project: Path, **knobs: Any) -> None:
    """Commit everything, with other knobs."""
    (project / "knobs.json").write_text(json.dumps({**KNOBS, **knobs}))
    succeed(["git", "add", "--all"], project)
    succeed(
        ["git", "commit", "--quiet", "--allow-empty", "--message", "as a person left it"], project
    )


def copy(project: Path, target: Path) -> Path:
    """Another copy of the project, with all results."""
    shutil.copytree(
        project, target, symlinks=True, ignore=shutil.ignore_patterns(".scratch", ".venv")
    )
    return target


def environment(project: Path) -> dict[str, str]:
    """For a command that stands in the project."""
    site = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(project / ".venv/var/dvc")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**site, "PATH": path, "KNOWHOW_DEVICE": "cpu"}


def start(project: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a `knowhow` command; standard error goes to the file `stderr.txt`."""
    with project.joinpath("stderr.txt").open("w") as errors:
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "flows.cli", *arguments],
            cwd=project,
            env={**os.environ, **environment(project), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def knowhow(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a `knowhow` command to its end."""
    return run_knowhow(project, *arguments, **environment(project))

"""A repository as many rounds leave it, by hand: dvc.lock and metrics, no table, no weight."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console, RenderableType

from fixtures.checkouts import succeed

TASK = {
    "name": "countdown",
    "seed": 20,
    "tiers": [{"num_numbers": 3, "num_train": 30, "num_heldout": 10}],
}
UPDATE = {
    "objective": "outcome",
    "alpha": 1.0,
    "optimizer": {"learning_rate": 0.001, "betas": [0.9, 0.95]},
}
MODEL = {"hidden_size": 64, "num_layers": 2}
PROBLEMS, DEMOS = "data/problems.parquet", "data/demos/r0.parquet"
EXAM_LEVELS = {"all": 40, "difficulty_3": 30, "difficulty_4": 10}


def md5(text: str) -> str:
    """A digest, as bytes with this text would have."""
    return hashlib.md5(text.encode()).hexdigest()


def step(
    command: str, deps: Sequence[str], outs: Sequence[str], params: Mapping[str, Any]
) -> dict[str, Any]:
    """One step of a lock file. A path without an ending is a folder."""
    return {
        "cmd": command,
        "deps": [entry(path) for path in deps],
        "params": {"params.yaml": dict(params)},
        "outs": [entry(path) for path in outs],
    }


def entry(path: str) -> dict[str, Any]:
    """A file of a lock file."""
    is_folder = "." not in path.rpartition("/")[2]
    return {
        "path": path,
        "hash": "md5",
        "md5": md5(path) + (".dir" if is_folder else ""),
        "size": len(path),
    }


def beginning(model: Mapping[str, Any] = MODEL) -> dict[str, Any]:
    """Steps up to the first policy, `r0`."""
    init = {"inits.r0.seed": 1, "inits.r0.demonstrations": {"num_demos": 50}, "task": TASK}
    code = ["stages/tasks/countdown.py"]
    return {
        "prepare": step(
            f"python -m stages.prepare --problems {PROBLEMS}", code, [PROBLEMS], {"task": TASK}
        ),
        "demonstrate@r0": step(
            f"python -m stages.demonstrate --problems {PROBLEMS} --demos {DEMOS}",
            [PROBLEMS, *code],
            [DEMOS],
            init,
        ),
        "sft@r0": step(
            f"python -m stages.sft --problems {PROBLEMS} --demos {DEMOS} --policy data/policies/r0",
            [PROBLEMS, DEMOS, "stages/sft.py"],
            ["data/policies/r0"],
            {"inits.r0.seed": 1, "inits.r0.model": dict(model), "task": TASK},
        ),
    }


def round_of(
    name: str, parent: str, seed: int, judge: str = "exact", recipe: str = "outcome"
) -> dict[str, Any]:
    """Steps of one round."""
    settings = {"parent": parent, "reference": "r0", "recipe": recipe, "judge": judge}
    settings |= {"seed": seed}
    rollouts, scores = (f"data/rounds/{name}/{table}.parquet" for table in ("rollouts", "scores"))
    before, reference = f"data/policies/{parent}", "data/policies/r0"
    judging = f"data/judges/{judge}"
    after, metrics = f"data/policies/{name}", f"data/metrics/updates/{name}.json"
    sampling = {"num_problems": 8, "group_size": 4}
    return {
        f"rollout@{name}": step(
            f"python -m stages.rollout --policy {before} --problems {PROBLEMS} "
            f"--rollouts {rollouts}",
            [before, PROBLEMS, "stages/rollout.py"],
            [rollouts],
            {f"rounds.{name}": settings, f"recipes.{recipe}.rollout": sampling},
        ),
        f"score@{name}": step(
            f"python -m stages.score --problems {PROBLEMS} --judge {judging} "
            f"--rollouts {rollouts} --scores {scores}",
            [PROBLEMS, judging, rollouts, "stages/score.py"],
            [scores],
            {"task": TASK},
        ),
        f"update@{name}": step(
            f"python -m stages.update --policy {before} --reference {reference} "
            f"--rollouts {rollouts} --scores {scores} --next-policy {after} --metrics {metrics}",
            [before, reference, rollouts, scores, "stages/update.py", "stages/pure/credit.py"],
            [after, metrics],
            {f"rounds.{name}": settings, f"recipes.{recipe}.update": UPDATE},
        ),
    }


def judge_of(name: str, base: str, trained_on: str) -> dict[str, Any]:
    """The step that trains a judge on the answers of a round."""
    tables = (f"data/rounds/{trained_on}/{table}.parquet" for table in ("rollouts", "scores"))
    rollouts, scores = tables
    policy, judge = f"data/policies/{base}", f"data/judges/{name}"
    command = (
        f"python -m stages.judge --base {policy} --rollouts {rollouts} --scores {scores} "
        f"--judge {judge}"
    )
    deps = [policy, rollouts, scores, "stages/judge.py"]
    settings = {"base": base, "round": trained_on, "seed": 5}
    return {f"judge@{name}": step(command, deps, [judge], {f"judges.{name}": settings})}


def exam_of(policy: str) -> dict[str, Any]:
    """Steps of a policy's exam."""
    answers, metrics = f"data/exams/{policy}/answers.parquet", f"data/metrics/exams/{policy}.json"
    folder = f"data/policies/{policy}"
    return {
        f"examine@{policy}": step(
            f"python -m stages.examine --policy {folder} --problems {PROBLEMS} --answers {answers}",
            [folder, PROBLEMS],
            [answers],
            {"exam": {"seed": 7}, "task": TASK},
        ),
        f"evaluate@{policy}": step(
            f"python -m stages.evaluate --answers {answers} --metrics {metrics}",
            [answers],
            [metrics],
            {"report.training_budget_tokens": 9, "evaluate": {"confidence": 0.95}},
        ),
    }


def graded_by(group: str, policy: str) -> dict[str, Any]:
    """Steps of an exam whose grades `evaluate` writes, or a step `grade` of its own."""
    answers, grades = (f"data/exams/{policy}/{name}.parquet" for name in ("answers", "grades"))
    metrics, judge = f"data/metrics/exams/{policy}.json", "data/judges/exact"
    reads = f"--problems {PROBLEMS} --judge {judge} --answers {answers} --grades {grades}"
    evaluates = {"report.training_budget_tokens": 9, "evaluate": {"confidence": 0.95}}
    if group == "evaluate":
        command = f"python -m stages.evaluate {reads} --metrics {metrics}"
        params = {"task": TASK, **evaluates}
        return {
            f"evaluate@{policy}": step(
                command, [PROBLEMS, judge, answers], [grades, metrics], params
            )
        }
    evaluate = f"python -m stages.evaluate --grades {grades} --metrics {metrics}"
    return {
        f"grade@{policy}": step(
            f"python -m stages.grade {reads}", [PROBLEMS, judge, answers], [grades], {"task": TASK}
        ),
        f"evaluate@{policy}": step(evaluate, [grades], [metrics], evaluates),
    }


def exam_metrics(mean: float) -> dict[str, Any]:
    """Metrics of an exam with this success at 9 tokens, and a little more at 18."""
    success = {"budget_9": interval(mean), "budget_18": interval(round(mean + 0.1, 3))}
    levels = EXAM_LEVELS.items()
    return {level: {"num_problems": count, "success": success} for level, count in levels}


def interval(mean: float) -> dict[str, float]:
    """An estimate and its interval."""
    return {"mean": mean, "low": round(mean - 0.03, 3), "high": round(mean + 0.03, 3)}


def write(
    folder: Path, steps: Mapping[str, Any], message: str = "results", files: Mapping[str, str] = {}
) -> str:
    """Write a lock file, metrics of its updates and exams, and other files; commit; its name."""
    if not (folder / ".git").exists():
        folder.mkdir(parents=True, exist_ok=True)
        succeed(["git", "init", "--quiet", "--initial-branch", "main"], folder)
        succeed(["git", "config", "user.email", "test@example.com"], folder)
        succeed(["git", "config", "user.name", "Test"], folder)
    (folder / "dvc.lock").write_text(
        yaml.safe_dump({"schema": "2.0", "stages": dict(steps)}, sort_keys=False)
    )
    for name in steps:
        group, _, policy = name.partition("@")
        metrics = {
            "update": {"tokens": {"trained": 1800, "forced": 20}},
            "evaluate": exam_metrics(0.5),
        }.get(group)
        if metrics:
            file = (
                folder
                / "data"
                / "metrics"
                / {"update": "updates", "evaluate": "exams"}[group]
                / f"{policy}.json"
            )
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(metrics))
    for name, text in {"requirements/cpu.txt": "numpy==2.3.5\ntorch==2.13.0\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    succeed(["git", "add", "--all"], folder)
    # the same at any time and by anyone, so that commits have the names that a text has of them
    day = {f"GIT_{who}_DATE": "2026-11-25T12:00:00+0000" for who in ("AUTHOR", "COMMITTER")}
    succeed(["git", "commit", "--quiet", "--message", message], folder, **day)
    return succeed(["git", "rev-parse", "HEAD"], folder).strip()


def chain(rounds: int) -> dict[str, Any]:
    """Steps of a chain of rounds `n1`, `n2` and on, the first and last policy examined."""
    steps = beginning()
    for number in range(1, rounds + 1):
        steps |= round_of(f"n{number}", f"n{number - 1}" if number > 1 else "r0", seed=number)
    return steps | exam_of("r0") | exam_of(f"n{rounds}")


def printed(answer: RenderableType, columns: int = 100) -> str:
    """What a terminal of so many columns shows."""
    console = Console(file=StringIO(), width=columns, highlight=False, soft_wrap=True)
    console.print(answer)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


class Page(HTMLParser):
    """What a page has: the tags, where its links go, what can be gone to."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

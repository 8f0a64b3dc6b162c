"""The user's own tasks, as docs/tasks.md shows them, through the stages that make their data."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.checkouts import ROOT
from stages import demonstrate, prepare
from stages.contracts.params.task import TaskParams
from stages.contracts.params.whole import load
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.demos import DEMOS
from stages.contracts.verdict import Verdict
from stages.running.errors import BadInput
from stages.tasks.rows import read_problems
from stages.tasks.sources import load_source
from stages.verifiers.isolated import Submission, verify

PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
CLASS, VERIFIER = re.findall(r"```python\n(.+?)```", PAGE, flags=re.DOTALL)
BLOCKS = [
    yaml.safe_load(block)["task"]
    for block in re.findall(r"```yaml\n(.+?)```", PAGE, flags=re.DOTALL)
]
TASKS: dict[str, dict[str, Any]] = {task["name"]: task for task in BLOCKS if "name" in task}
[CHOSEN] = [task["verifier"] for task in BLOCKS if "name" not in task]
LEVELS = ("easy", "hard", 5)

PREPARED = tuple(map(Path, ("problems.parquet", "solutions.parquet", "format.json", "exact")))


def row(number: int) -> dict[str, Any]:
    total = 2 * number + 3
    return {
        "problem": f"What is {number} + {number + 3}?",
        "answer": total,
        "level": LEVELS[number % 3],
        "solution": f"It is {total}.",
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in for the repository's root."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def settle(name: str, file: Path, content: str) -> Path:
    """The file of a task, and params.yaml of a tiny profile with the page's task."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(content, encoding="utf-8")
    everything = yaml.safe_load((ROOT / "tests" / "profiles" / "reasoning_gym.yaml").read_text())
    everything["task"] = TASKS[name] | {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    difficulties = [tier["difficulty"] for tier in TASKS[name]["tiers"]]
    everything["recipes"]["sampled"]["rollout"]["difficulties"] = difficulties
    everything["inits"]["r0"]["demonstrations"] = {"strategy": "worked", "num_demos": 30}
    path = Path("params.yaml")
    path.write_text(yaml.safe_dump(everything))
    return path


def check(task: TaskParams) -> None:
    """Problems of both splits, verified with their own answer and another's; demonstrations."""
    prepare.main(*PREPARED)
    demonstrate.main("r0", Path("problems.parquet"), Path("demos.parquet"))
    problems = read_problems(Path("problems.parquet"))
    counts = Counter((p.difficulty, p.split) for p in problems)
    asked = Counter(
        {
            (tier.difficulty, split): getattr(tier, f"num_{split}")
            for tier in task.tiers
            for split in ("train", "heldout", "reserved")
        }
    )
    assert counts == asked  # a split of none is none
    requests = [
        Submission(p, text, is_attempt=False)
        for p in problems[:12]
        for text in (p.answer, f"{p.answer}1", "no number")
    ]
    verdicts = verify(task, requests)
    assert verdicts[::3] == [Verdict.CORRECT] * 12
    assert Verdict.CORRECT not in verdicts[1::3] + verdicts[2::3]
    answers = {p.problem_id: p.answer for p in problems if p.split == "train"}
    for demo in read_table(Path("demos.parquet"), DEMOS).to_pylist():
        assert demo["strategy"] == "worked"
        thinking, _, answer = demo["text"].partition("<answer>")
        assert thinking.endswith(f"{answers[demo['problem_id']]}\n\n") or thinking.endswith(".\n\n")
        assert answer == answers[demo["problem_id"]]
        assert demo["num_segments"] == thinking.count("\n\n") >= 1


def test_the_class_of_the_page_is_a_task(home: Path) -> None:
    path = settle("user", home / "tasks_of_mine" / "ones.py", CLASS)
    task = load(path).task
    check(task)
    problem = read_problems(Path("problems.parquet"))[0]
    assert load_source(task).solutions(problem) == [problem.answer]


def test_the_file_of_the_page_is_a_task(home: Path) -> None:
    lines = "".join(json.dumps(row(number)) + "\n" for number in range(300))
    path = settle("dataset", home / "problems_of_mine" / "sums.jsonl", lines)
    check(load(path).task)


def test_the_verifier_of_the_page_judges_a_task(home: Path) -> None:
    lines = "".join(json.dumps(row(number)) + "\n" for number in range(300))
    path = settle("dataset", home / "problems_of_mine" / "sums.jsonl", lines)
    file = home / "tasks_of_mine" / "digits.py"
    file.parent.mkdir()
    file.write_text(VERIFIER, encoding="utf-8")
    everything = yaml.safe_load(path.read_text())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    everything["task"]["verifier"] = {**CHOSEN, "sha256": digest}
    path.write_text(yaml.safe_dump(everything))
    prepare.main(*PREPARED)
    problem = read_problems(Path("problems.parquet"))[0]
    texts = (" ".join(problem.answer), f"{problem.answer}1", "no number")
    verified = verify(
        load(path).task, [Submission(problem, text, is_attempt=False) for text in texts]
    )
    assert verified == [Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNPARSABLE]
    file.write_text(VERIFIER + "\n")
    with pytest.raises(BadInput, match=r"set task\.verifier\.sha256 to the one found"):
        prepare.main(*PREPARED)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "a",
            "class Ones",
            "class Zeros",
            r"AttributeError: module 'tasks_of_mine.a' has no attribute 'Ones'",
        ),
        (
            "b",
            "import random",
            "import randon",
            r"ModuleNotFoundError: No module named 'randon' \(b\.py, line 3\)",
        ),
        (
            "c",
            "def verify",
            "def very",
            r"c:Ones needs methods problems and verify; docs/tasks\.md shows them",
        ),
        (
            "d",
            'count("1")),',
            'count("0")),',
            r"\d+ with an answer that its own verifier does not acc.*: problem \d",
        ),
        (
            "e",
            "yield Question(",
            "yield dict(",
            r"TypeError: method problems must give Questions, not \{",
        ),
        (
            "f",
            'str(word.count("1")),',
            'word.count("1"),',
            r"a Question's answer must be text, not \d \(question\.py",
        ),
        (
            "g",
            '"word": word}',
            '"word": word, "set": {1}}',
            r"\d+ with metadata that JSON does not give back",
        ),
        (
            "h",
            "while True",
            "for _ in range(9)",
            r"no more distinct problems of difficulty 6 in tasks_of_mine\.h:Ones",
        ),
        ("i", "How many ones has", "How many\0ones has", r"\d+ with text in a broken encoding"),
    ],
)
def test_a_class_that_cannot_be_used_says_why(
    home: Path, name: str, old: str, new: str, message: str
) -> None:
    assert old in CLASS
    file = home / "tasks_of_mine" / f"{name}.py"
    path = settle("user", file, CLASS.replace(old, new, 1).replace("\0", "\\0"))
    path.write_text(path.read_text().replace("tasks_of_mine.ones", f"tasks_of_mine.{name}"))
    with pytest.raises(BadInput, match=message):
        prepare.main(*PREPARED)
    assert not Path("problems.parquet").exists()


def test_an_edited_class_is_not_the_one_that_params_mean(home: Path) -> None:
    file = home / "tasks_of_mine" / "ones.py"
    settle("user", file, CLASS)
    file.write_text(CLASS + "\n# edited\n")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(
        BadInput, match=f"tasks_of_mine/ones.py: its sha256 is {digest}, not .* set task.sha256"
    ):
        prepare.main(*PREPARED)

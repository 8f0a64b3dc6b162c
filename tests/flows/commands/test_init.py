"""`knowhow init` and what it surveys: a file and a class become a params.yaml that is right."""

import json
from collections import Counter
from pathlib import Path

import yaml

from stages.contracts.params.whole import load
from stages.tasks.imported.intake import canonical
from stages.tasks.splits import split_of
from tests.flows.command import knowhow

CLASS = """
from stages.tasks.question import Question


class Twice:
    def problems(self, difficulty, rng):
        for number in range(100 * difficulty):
            yield Question(f"Twice {number}?", str(2 * number), {}, f"{number} and {number}")

    def verify(self, question, answer):
        return answer == question.answer
"""


def test_a_file_is_asked_for_what_it_has(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(200)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = knowhow(tmp_path, "init", "--task", "dataset", "--path", "sums.jsonl")
    assert done.returncode == 0, done.stderr
    task = load(tmp_path / "params.yaml").task
    (tier,) = task.tiers
    splits = Counter(split_of(canonical(row["question"]), 0) for row in rows)
    assert (tier.num_train, tier.num_heldout) == (splits["train"], splits["heldout"])
    assert task.max_question_characters == len("What is 199 + 1?")
    before = (tmp_path / "params.yaml").read_text()
    again = knowhow(tmp_path, "init", "--task", "countdown")
    assert (again.returncode, "--force overwrites it" in again.stderr) == (2, True)
    assert (tmp_path / "params.yaml").read_text() == before


def test_a_class_is_drawn_from_at_each_difficulty(tmp_path: Path) -> None:
    (tmp_path / "twice.py").write_text(CLASS)
    arguments = ("--task", "user", "--path", "twice.py:Twice", "--difficulties", "3")
    done = knowhow(tmp_path, "init", *arguments, PYTHONSAFEPATH="")
    assert done.returncode == 0, done.stderr
    content = yaml.safe_load((tmp_path / "params.yaml").read_text())
    assert content["task"]["source"] == "twice:Twice"
    assert content["inits"]["r0"]["demonstrations"]["strategy"] == "worked"
    assert content["recipes"]["information"]["rollout"]["difficulties"] == [3]


def test_what_cannot_be_a_task_is_refused(tmp_path: Path) -> None:
    for arguments, told in (
        (("--task", "dataset"), "needs --path FILE.jsonl"),
        (("--task", "user", "--path", "ones.py:Ones"), "ones.py is missing"),
        (("--task", "reasoning_gym", "--family", "chain_sums"), "no family chain_sums"),
    ):
        done = knowhow(tmp_path, "init", *arguments)
        assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "params.yaml").exists()

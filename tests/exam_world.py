"""A folder with one exam, small enough to grade by hand."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fixtures.checkouts import ROOT
from fixtures.rows import row
from stages.contracts.format import write_format
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.answers import ANSWERS
from stages.contracts.tables.grades import GRADES
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.thoughts import THOUGHTS
from stages.evaluate import __main__ as evaluate
from stages.grade import __main__ as grade
from stages.tasks.formats import load_format
from stages.tasks.marks import marks_of
from stages.tasks.rows import problem_row
from stages.tasks.task import Problem

BUDGETS = [0, 9, 18, 36]
SETTINGS = load(ROOT / "params.yaml")
FORM = load_format(SETTINGS.task)
RENDERER = Renderer(FORM.tokenizer([]))
RIGHT, WRONG, UNREADABLE = "7 + 5 12 12 * 3 36", "7 - 5 2 2 * 3 6", "7 +"
SPLITS = {"h0": "heldout", "h1": "heldout", "s0": "train", "v0": "reserved"}
TEMPERATURES = [1.0, 0.35]

# What each sample thinks at temperature 1, and its answer at each budget. A segment has 9 tokens.
# Colder nothing is thought, held-out answers are all right, and the reserved ones wrong.
SAID = {
    ("h0", 0): f"{WRONG} = {RIGHT} =",
    ("h0", 1): f"{RIGHT} <",
    ("h1", 0): f"{WRONG} < {WRONG} < 7",
    ("h1", 1): "",
    ("s0", 0): f"{RIGHT} =",
    ("s0", 1): f"{RIGHT} =",
    ("v0", 0): "",
    ("v0", 1): "",
}
ANSWERED = {
    ("h0", 0): [WRONG, WRONG, RIGHT, RIGHT],
    ("h0", 1): [UNREADABLE, RIGHT, RIGHT, RIGHT],
    ("h1", 0): [WRONG, WRONG, WRONG, WRONG],
    ("h1", 1): [WRONG, WRONG, UNREADABLE, RIGHT],
    ("s0", 0): [WRONG, RIGHT, RIGHT, RIGHT],
    ("s0", 1): [RIGHT, RIGHT, RIGHT, RIGHT],
    ("v0", 0): [WRONG, WRONG, RIGHT, WRONG],
    ("v0", 1): [WRONG, WRONG, WRONG, WRONG],
}


class Exam:
    """A folder with one policy's exam, and what grading makes of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        raw = yaml.safe_load((ROOT / "params.yaml").read_text())
        raw["exam"]["budgets_tokens"], raw["report"]["training_budget_tokens"] = BUDGETS, 18
        raw["exam"]["temperatures"] = TEMPERATURES
        raw["evaluate"]["num_resamples"] = 200
        (root / "params.yaml").write_text(yaml.safe_dump(raw))
        metadata = {"numbers": [3, 7, 5], "target": 36}
        problems = [
            Problem(name, split, 3, "<bos> 3 7 5 T36 :", RIGHT, metadata, 0)
            for name, split in SPLITS.items()
        ]
        write_table(
            root / "problems.parquet", PROBLEMS, [problem_row("countdown", p) for p in problems]
        )
        write_format(root / "format.json", marks_of(FORM))
        RENDERER.save(root / "policy")
        write_table(root / "thoughts.parquet", THOUGHTS, self._thoughts())
        write_table(root / "answers.parquet", ANSWERS, self._answers())
        (root / "judge").mkdir()
        (root / "judge/judge.json").write_text('{"kind": "exact"}')

    def _thoughts(self) -> list[dict[str, Any]]:
        rows = []
        for temperature in TEMPERATURES:
            for (name, index), text in SAID.items():
                tokens = RENDERER.encode(text) if temperature == 1.0 else []
                place = {"problem_id": name, "temperature": temperature, "sample_index": index}
                read = {"thinking_tokens": tokens, "thinking_text": RENDERER.text(tokens)}
                rows.append(row(THOUGHTS, **place, **read))
        return rows

    def _answers(self) -> list[dict[str, Any]]:
        rows = []
        for (name, index), answers in ANSWERED.items():
            for budget, answer in zip(BUDGETS, answers, strict=True):
                place = {"problem_id": name, "sample_index": index, "budget_tokens": budget}
                used = min(budget, len(RENDERER.encode(SAID[name, index])))
                rows.append(row(ANSWERS, **place, used_tokens=used, is_forced=False, answer=answer))
                colder = {"temperature": 0.35, "used_tokens": 0, "is_forced": False}
                text = WRONG if SPLITS[name] == "reserved" else RIGHT
                rows.append(row(ANSWERS, **place, **colder, answer=text))
        return rows

    def grade(self) -> pd.DataFrame:
        """Run the stage; its grades by (problem, temperature, sample, budget)."""
        root = self.root
        grade.main(
            problems=root / "problems.parquet",
            text_format=root / "format.json",
            tokenizer=root / "policy/tokenizer.json",
            judge=root / "judge",
            answers=root / "answers.parquet",
            thoughts=root / "thoughts.parquet",
            grades=root / "grades.parquet",
            params_file=root / "params.yaml",
        )
        grades = read_table(root / "grades.parquet", GRADES).to_pandas()
        return grades.set_index([*GRADES.key])

    def evaluate(self) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Grade, and run the next stage; grades and metrics."""
        root, grades = self.root, self.grade()
        evaluate.main(
            grades=root / "grades.parquet",
            metrics=root / "metrics.json",
            summary=root / "summary.json",
            params_file=root / "params.yaml",
        )
        return grades, json.loads((root / "metrics.json").read_text())

"""Survey what a task's source offers, so that `knowhow init` can ask for what there is.

Reads   the user's file or class, or the family, as `task` in JSON describes it but for its tiers.
Writes  nothing; prints the tiers it can fill, and how long questions, answers and solutions are.
Method  Distinct questions are counted by difficulty. Of those a tenth is held out by its text
        alone, so a tier asks for a little less than its share, and for less until it is filled.

Example: python -m stages.survey --task '{"name": "dataset", "path": "sums.jsonl", …}'
"""

import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stages.contracts.params.base import checked
from stages.contracts.params.task import DatasetTask, ReasoningGymTask, TaskParams, UserTask
from stages.running.errors import BadInput, command
from stages.tasks.imported.cells import cell_text, level_text
from stages.tasks.imported.row_files import read_rows
from stages.tasks.imported.user_class import load_user_class
from stages.tasks.sources import load_source
from stages.tasks.task import Problem

MAX_DRAWN = 2000
"""Questions looked at of each difficulty that is drawn at will."""
MAX_TRAIN, MAX_HELDOUT = 1600, 100
TRAIN_FRAC, HELDOUT_FRAC = 0.8, 0.1
DEVIATIONS = 2
"""Standard deviations of a split's share that a tier leaves."""
SHRINK, MAX_TRIES = 0.8, 8


def main(task: str) -> None:
    """Print what the source of a task offers, as JSON."""
    described: dict[str, Any] = json.loads(task)
    settings = checked(Path("task"), described, TaskParams)
    counts = Counter(difficulty for difficulty, _ in set(questions(settings)))
    if not counts:
        raise BadInput("the task's source has no questions; name another, or mend it")
    for attempt in range(MAX_TRIES):
        described["tiers"] = [
            {**tier, **sizes(int(counts[tier["difficulty"]] * SHRINK**attempt))}
            for tier in described["tiers"]
        ]
        settings = checked(Path("task"), described, TaskParams)
        try:
            problems = list(load_source(settings, accepting).problems())
            break
        except BadInput as error:
            refused = error
    else:
        raise refused
    print(json.dumps({"tiers": described["tiers"], **lengths(problems)}))


def accepting(problems: Sequence[Problem]) -> list[str]:
    """Every reference answer is taken: whether it is right is for the check to tell."""
    return ["correct"] * len(problems)


def questions(task: TaskParams) -> Iterator[tuple[int, str]]:
    """Difficulty and text of the questions there are, or of some where there is no end."""
    if isinstance(task, DatasetTask):
        names = task.columns
        columns = [names.question, *([names.level] if names.level else [])]
        tiers = {str(level): t.difficulty for t in task.tiers for level in t.levels or []}
        for row in read_rows(Path(task.path), columns):
            if not row.fault and row.values.get(names.question) is not None:
                level = level_text(row.values[names.level]) if names.level else None
                difficulty = tiers.get(level) if level else task.tiers[0].difficulty
                if difficulty is not None:
                    yield difficulty, cell_text(row.values[names.question])
    elif isinstance(task, UserTask):
        source = load_user_class(task)
        for tier in task.tiers:
            drawn = source.problems(tier.difficulty, random.Random(f"{task.seed}"))
            for question in itertools.islice(drawn, MAX_DRAWN):
                yield tier.difficulty, question.question
    elif isinstance(task, ReasoningGymTask):
        from stages.tasks.families import load_dataset

        for tier in task.tiers:
            dataset = load_dataset(task, tier, size=MAX_DRAWN)
            for index in range(MAX_DRAWN):
                yield tier.difficulty, dataset[index]["question"]


def sizes(num_questions: int) -> dict[str, int]:
    """A tier of so many questions: of each split a little less than its share."""
    share = {"num_train": (TRAIN_FRAC, MAX_TRAIN), "num_heldout": (HELDOUT_FRAC, MAX_HELDOUT)}
    wanted = {}
    for key, (frac, most) in share.items():
        spread = DEVIATIONS * math.sqrt(num_questions * frac * (1 - frac))
        wanted[key] = max(1, min(most, int(num_questions * frac - spread)))
    return {**wanted, "num_reserved": 0}


def lengths(problems: Sequence[Problem]) -> dict[str, Any]:
    """The longest of each in bytes, which no tokenizer of ours makes more tokens of."""
    solutions = [str(problem.metadata.get("solution") or "") for problem in problems]
    return {
        "has_solutions": all(solutions),
        "question_characters": max(len(problem.prompt) for problem in problems),
        "question_bytes": max(len(problem.prompt.encode()) for problem in problems),
        "answer_bytes": max(len(problem.answer.encode()) for problem in problems),
        "solution_bytes": max(len(solution.encode()) for solution in solutions),
    }


if __name__ == "__main__":
    command(main)

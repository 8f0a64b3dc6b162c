"""Survey what a task's source offers, so that `knowhow init` can ask for what there is.

Reads   the user's file or class, or the family, as `task` in JSON describes it but for its tiers.
Writes  nothing; prints the tiers it can fill, and how long questions, answers and solutions are.
Method  Distinct questions are counted by difficulty and split, which a question is in by its text
        alone. A tier asks for all there are, up to what is enough, and for less until it is filled.

Example: python -m stages.survey --task '{"name": "dataset", "path": "sums.jsonl", …}'
"""

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.contracts.params.base import checked
from stages.contracts.params.task import DatasetTask, ReasoningGymTask, TaskParams, UserTask
from stages.running.errors import BadInput, command
from stages.tasks.imported.cells import cell_text, level_text
from stages.tasks.imported.intake import canonical
from stages.tasks.imported.row_files import read_rows
from stages.tasks.imported.user_class import load_user_class
from stages.tasks.sources import load_source
from stages.tasks.splits import split_of
from stages.tasks.task import Problem

MAX_DRAWN = 2000
"""Questions looked at of each difficulty that is drawn at will."""
MAX_TRAIN, MAX_HELDOUT = 1600, 100
SHRINK, MAX_TRIES = 0.8, 8


def main(task: str) -> None:
    """Print what the source of a task offers, as JSON."""
    described: dict[str, Any] = json.loads(task)
    settings = checked(Path("task"), described, TaskParams)
    drawn = set(questions(settings))
    counts = Counter((difficulty, split) for difficulty, split, _ in drawn)
    if not counts:
        raise BadInput("the task's source has no questions; name another, or mend it")
    for attempt in range(MAX_TRIES):
        share = SHRINK**attempt  # of a question that cannot be used the source tells only later
        described["tiers"] = [
            {**tier, **sizes(counts, tier["difficulty"], share)} for tier in described["tiers"]
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


def questions(task: TaskParams) -> Iterator[tuple[int, str, str]]:
    """Difficulty, split and text of the questions there are, or of some where there is no end."""
    if isinstance(task, ReasoningGymTask):
        from stages.tasks.families import load_dataset
        from stages.tasks.reasoning_gym import ReasoningGym

        source = ReasoningGym(task)
        for tier in task.tiers:
            dataset = load_dataset(task, tier, size=MAX_DRAWN)
            for index in range(MAX_DRAWN):
                text = dataset[index]["question"]
                yield tier.difficulty, source.split(text), " ".join(text.split())
    elif isinstance(task, DatasetTask | UserTask):
        found = _rows(task) if isinstance(task, DatasetTask) else _draws(task)
        for difficulty, text in found:
            alike = canonical(text)
            yield difficulty, split_of(alike, task.heldout_bucket), alike


def _rows(task: DatasetTask) -> Iterator[tuple[int, str]]:
    names = task.columns
    columns = [names.question, *([names.level] if names.level else [])]
    tiers = {str(level): tier.difficulty for tier in task.tiers for level in tier.levels or []}
    for row in read_rows(Path(task.path), columns):
        if row.fault or row.values.get(names.question) is None:
            continue
        level = level_text(row.values[names.level]) if names.level else ""
        difficulty = tiers.get(level) if names.level else task.tiers[0].difficulty
        if difficulty is not None:
            yield difficulty, cell_text(row.values[names.question])


def _draws(task: UserTask) -> Iterator[tuple[int, str]]:
    source = load_user_class(task)
    for tier in task.tiers:
        drawn = source.problems(tier.difficulty, random.Random(f"{task.seed}"))
        for question in itertools.islice(drawn, MAX_DRAWN):
            yield tier.difficulty, question.question


def sizes(counts: Mapping[tuple[int, str], int], difficulty: int, share: float) -> dict[str, int]:
    """What a tier may ask for: a share of the questions of each split, up to what is enough."""
    most = {"train": MAX_TRAIN, "heldout": MAX_HELDOUT}
    wanted = {
        f"num_{split}": max(1, min(limit, int(counts[difficulty, split] * share)))
        for split, limit in most.items()
    }
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

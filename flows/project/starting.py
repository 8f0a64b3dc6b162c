"""A params.yaml to start a task from: a profile, with sizes by what the task's source holds."""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
COUNTDOWN, TEXT, CHAT = (
    ROOT / "profiles" / f"{name}.yaml" for name in ("countdown", "text", "qwen3")
)
COLUMNS = {
    "question": ("question", "problem", "prompt", "input"),
    "answer": ("answer", "final_answer", "target", "output"),
    "level": ("level", "difficulty", "grade"),
    "solution": ("solution", "rationale", "reasoning"),
}
"""What files call their columns, most usual first."""
UNSIZED = {"num_train": 1, "num_heldout": 1, "num_reserved": 0}
TRAINED_TEXT = {"kind": "trained", "vocabulary_size": 261}
FOR_EDITORS = "# yaml-language-server: $schema=docs/params.schema.json\n"
SFT_BYTES = 1_000_000
"""Bytes of demonstrations, which train the small model in a minute or two of one core."""
MIN_DEMOS, MAX_DEMOS = 2_000, 24_000
MAX_POSITIONS, POSITION_STEP = 2048, 64
MAX_LEVELS, MAX_ROWS_READ = 12, 100_000
SPARE_TOKENS = 8
"""Of a prompt's start, a cue and ends."""
MAX_PROBLEMS = 64


class NotUsable(Exception):
    """What the user names cannot be a task; says why."""


def countdown() -> str:
    """The default task, smaller."""
    return FOR_EDITORS + COUNTDOWN.read_text(encoding="utf-8")


def of_family(family: str) -> dict[str, Any]:
    """A family of reasoning-gym at the lowest level of its curriculum."""
    task = {"name": "reasoning_gym", "family": family, "seed": 1, "text": TRAINED_TEXT}
    return {**task, "tiers": [{"difficulty": 0, "level": 0}]}


def of_file(file: Path, sha256: str, named: Mapping[str, str | None]) -> dict[str, Any]:
    """A file of problems. Columns that are not named are found by usual names.

    Raises:
        NotUsable: it has no column of questions or answers, or too many levels.
    """
    rows = _rows(file)
    columns = _columns(file, rows, named)
    task: dict[str, Any] = {
        "name": "dataset",
        "path": str(file),
        "sha256": sha256,
        "columns": columns,
    }
    task |= {"seed": 1, "text": TRAINED_TEXT, "max_question_characters": 100_000}
    tiers: list[dict[str, Any]] = [{"difficulty": 0}]
    if "level" in columns:
        levels = sorted({row[columns["level"]] for row in rows}, key=_order)
        if len(levels) > MAX_LEVELS:
            raise NotUsable(
                f"{file}: column {columns['level']} has {len(levels)} levels, more than "
                f"{MAX_LEVELS} tiers can be read apart; name a coarser one with --level"
            )
        tiers = [{"difficulty": place, "levels": [each]} for place, each in enumerate(levels)]
    return {**task, "heldout_bucket": 0, "tiers": tiers}


def of_class(path: str, sha256: str, difficulties: str) -> dict[str, Any]:
    """A class of the user's, by its file and name.

    Raises:
        NotUsable: it is not named so, or a difficulty is no number.
    """
    file, _, name = path.partition(":")
    if not name or not file.endswith(".py"):
        raise NotUsable(f"--path {path}: name the class behind its file, as in tasks/ones.py:Ones")
    try:
        asked = [int(each) for each in difficulties.split(",")]
    except ValueError:
        raise NotUsable(f"--difficulties {difficulties}: whole numbers, as in 1,2,3") from None
    source = f"{'.'.join(Path(file).with_suffix('').parts)}:{name}"
    task = {"name": "user", "source": source, "sha256": sha256, "seed": 1, "text": TRAINED_TEXT}
    tiers = [{"difficulty": each} for each in asked]
    return {**task, "max_question_characters": 100_000, "heldout_bucket": 0, "tiers": tiers}


def of_text(task: Mapping[str, Any], found: Mapping[str, Any], model: str | None) -> str:
    """The params.yaml of a text task, with the tiers and lengths that a survey found.

    Raises:
        NotUsable: its texts are too long for the small model.
    """
    from flows.project import yaml_text  # ruamel is not for every --help

    content = yaml_text.load((CHAT if model else TEXT).read_text(encoding="utf-8"))
    text = content["task"]["text"]
    described = {**task, "text": text, "tiers": found["tiers"]}
    if "max_question_characters" in described:
        described["max_question_characters"] = found["question_characters"]
    content["task"] = {key: _flow(value) for key, value in described.items()}
    init, recipe = content["inits"]["r0"], content["recipes"]["information"]
    rollout, exam = recipe["rollout"], content["exam"]
    rollout["difficulties"] = _flow([tier["difficulty"] for tier in found["tiers"]])
    rollout["num_problems"] = min(MAX_PROBLEMS, sum(t["num_train"] for t in found["tiers"]))
    if model:
        init["model"] = {"checkpoint": model, "sha256": "0" * 64}
        return _dumped(content)
    answer = found["answer_bytes"] + SPARE_TOKENS
    budget = found["solution_bytes"] + SPARE_TOKENS
    shown = found["question_bytes"] + found["solution_bytes"] + found["answer_bytes"]
    needed = found["question_bytes"] + budget + answer + SPARE_TOKENS
    positions = -(-needed // POSITION_STEP) * POSITION_STEP
    if positions > MAX_POSITIONS:
        raise NotUsable(
            f"the longest question, solution and answer take {needed} bytes, more than the "
            f"{MAX_POSITIONS} positions of a small model; start from a checkpoint: --model FOLDER"
        )
    strategy = "worked" if found["has_solutions"] else "direct"
    num_demos = max(MIN_DEMOS, min(MAX_DEMOS, SFT_BYTES // shown))
    init["demonstrations"] |= {"strategy": strategy, "num_demos": num_demos}
    init["model"]["max_positions"] = init["sft"]["row_tokens"] = positions
    rollout |= {"budget_tokens": budget, "answer_tokens": answer}
    exam |= {"budgets_tokens": _flow([0, budget]), "answer_tokens": answer}
    content["report"]["training_budget_tokens"] = budget
    return _dumped(content)


def _dumped(content: Any) -> str:
    """The text, the empty line behind the task's section put back."""
    from flows.project import yaml_text

    return FOR_EDITORS + yaml_text.dump(content).replace("\ncompute:", "\n\ncompute:", 1)


def _rows(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".parquet":
        import pyarrow.dataset

        return pyarrow.dataset.dataset(str(file)).head(MAX_ROWS_READ).to_pylist()
    if file.suffix != ".jsonl":
        raise NotUsable(f"{file}: a file of problems ends in .jsonl or .parquet")
    rows = []
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(islice(lines, MAX_ROWS_READ), start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise NotUsable(f"{file}, line {number} is not JSON ({error}); mend it") from None
            if not isinstance(row, dict):
                raise NotUsable(f"{file}, line {number} is no JSON object; mend it")
            rows.append(row)
    if not rows:
        raise NotUsable(f"{file} has no rows; fetch it anew, or name another file")
    return rows


def _columns(
    file: Path, rows: Sequence[Mapping[str, Any]], named: Mapping[str, str | None]
) -> dict[str, str]:
    there = sorted(set.intersection(*({*row} for row in rows)))
    columns: dict[str, str] = {}
    for kind, usual in COLUMNS.items():
        found = named.get(kind) or next((name for name in usual if name in there), None)
        if found is None and kind in ("question", "answer"):
            raise NotUsable(f"{file} has no column {usual}; name one of {there} with --{kind}")
        if found is not None and found not in there:
            raise NotUsable(f"{file} has no column {found} in every row; choose from {there}")
        if found is not None and found not in columns.values():
            columns[kind] = found
    return columns


def _order(level: Any) -> tuple[bool, Any]:
    """Numbers by size, before words."""
    return (not isinstance(level, int), level if isinstance(level, int) else str(level))


def _flow(value: Any) -> Any:
    """Small parts on one line, as people write them."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return CommentedSeq([_flow(each) for each in value])
    if isinstance(value, list | Mapping):
        line = CommentedMap(value) if isinstance(value, Mapping) else CommentedSeq(value)
        line.fa.set_flow_style()
        return line
    return value

"""Write a tree to audit: a chain of rounds as dvc.lock has them, with tables of any length.

Reads   this repository's dvc.lock, params.yaml, metrics and listings of code.
Writes  a git repository: dvc.lock, metrics, and under `data` the tables and policies that the lock
        names.
Method  Each round's entries are those of the first round of this repository, renamed: every
        dependency and parameter is there. Problems, demonstrations, rollouts, ledgers and exams
        hold rows; other tables hold none; weights are a few bytes. Held-out problems have target 1
        and train problems another, so that nothing leaks.
Limits  The code that the lock names is not there, nor are most objects in the cache, which `verify`
        says.

Example: python -m benchmarks.audit_tree --folder chain --num-rounds 30
"""

import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from tokenizers import Tokenizer

from benchmarks.long_round import as_table, taken
from fixtures.rows import Row, row
from stages.contracts.params.whole import load
from stages.contracts.storage.contract import Table, part_name
from stages.contracts.tables.all import TABLES
from stages.contracts.tables.demos import DEMOS
from stages.contracts.tables.ledger import LEDGER
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.running.errors import command
from stages.tasks.formats import load_format

FIRST, BASE, EXAMINED = "i1", "r0", "i3"
NUM_HELDOUT, NUM_TOKENS, PART_PROBLEMS = 400, 20, 20_000
POLICY_FILES = {"config.json": b"{}", "model.safetensors": b"weights"}
EXAM_GROUPS = ("examine", "grade", "evaluate")

Lock = dict[str, Any]
Columns = Mapping[str, np.ndarray]


def main(folder: Path, num_rounds: int = 30, num_problems: int = 512, group_size: int = 1) -> None:
    """Write rounds `n1`, `n2` and on, each of `group_size` rollouts of every problem."""
    steps = lock(num_rounds)
    tokenizer = load_format(load(Path("params.yaml")).task).tokenizer([])
    for step in steps.values():
        for out in step["outs"]:
            write(folder / out["path"], num_problems, group_size, tokenizer)
    known: Lock = {}
    for step in steps.values():
        known |= {out["path"]: digest(folder, out["path"]) for out in step["outs"]}
    for step in steps.values():
        for entry in (*step["deps"], *step["outs"]):
            entry.update(known.get(entry["path"], {}))
    (folder / "dvc.lock").write_text(yaml.dump({"schema": "2.0", "stages": steps}, sort_keys=False))
    (folder / ".dvc").mkdir(exist_ok=True)
    (folder / ".dvc/config").write_text("")
    (folder / ".gitignore").write_text("*.parquet\npolicies/\n.dvc/cache\n")
    (folder / "pyproject.toml").write_bytes(Path("pyproject.toml").read_bytes())
    commit = "-c user.name=a -c user.email=a commit --quiet --message results"
    for words in ("init --quiet", "add --all", commit):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)


def lock(num_rounds: int) -> Lock:
    """The steps, their digests still those of this repository."""
    stages = yaml.load(Path("dvc.lock").read_text(), Loader=yaml.CSafeLoader)["stages"]
    first = ("code", "prepare", f"demonstrate@{BASE}", f"sft@{BASE}")
    steps: Lock = {name: stages[name] for name in stages if name in first}
    for number in range(1, num_rounds + 1):
        above = f"n{number - 1}" if number > 1 else BASE
        for name, step in stages.items():
            group, _, key = name.partition("@")
            if key == FIRST or (key == EXAMINED and group in EXAM_GROUPS):
                steps[f"{group}@n{number}"] = renamed(step, key, number, above)
    return steps


def renamed(step: Lock, key: str, number: int, above: str) -> Lock:
    """An entry of the lock as that of another round, whose parent is `above`."""
    text = json.dumps(step).replace(f"/{BASE}", f"/{above}").replace(f'"{BASE}"', f'"{above}"')
    for before in "/ .":
        text = text.replace(f"{before}{key}", f"{before}n{number}")
    entry: Lock = json.loads(text)
    return entry


def write(path: Path, num_problems: int, group_size: int, tokenizer: Tokenizer) -> None:
    """What stands at a path of the lock, by the path's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name, key = path.stem, path.parent.name
    if path.suffix == ".json":
        path.write_bytes(facts(name, key))
    elif not path.suffix:
        path.mkdir(exist_ok=True)
        tokenizer.save(str(path / "tokenizer.json"))
        for file, content in POLICY_FILES.items():
            (path / file).write_bytes(content)
    elif name in ("rollouts", "ledger"):
        rounds(only_part(path), key, num_problems, group_size, tokenizer)
    else:
        table = DEMOS if key == "demos" else TABLES[name]
        pq.write_table(as_table(list(rows_of(table, num_problems)), table), only_part(path))


def facts(name: str, key: str) -> bytes:
    """A file of JSON: that of this repository where it has one of its kind."""
    of_kind = {
        "code": f"code/{name}",
        "updates": f"metrics/updates/{FIRST}",
        "exams": f"metrics/exams/{EXAMINED}",
        "sft": f"metrics/sft/{BASE}",
    }
    source = Path(f"data/{of_kind.get(key, 'none')}.json")
    return source.read_bytes() if key in of_kind else b'{"success": true}'


def only_part(path: Path) -> Path:
    """The part file of a table of one part, its folder made."""
    path.mkdir(exist_ok=True)
    return path / part_name(0, 1)


def rows_of(table: Table, num_problems: int) -> Iterator[Row]:
    """Rows of a table that is as long as the problems; none of any other."""
    train, every = range(num_problems), range(num_problems + NUM_HELDOUT)
    match table.name:
        case "problems":
            yield from map(problem, every, [number in train for number in every])
        case "demos":
            for number in train:
                yield row(DEMOS, demo_id=number, problem_id=problem_id(number), text="# 1")
        case "answers" | "grades":
            for number in every[num_problems:]:
                yield row(table, problem_id=problem_id(number), budget_tokens=72, used_tokens=9)


def problem_id(number: int) -> str:
    """A problem's name."""
    return f"countdown:{number}"


def problem(number: int, is_train: bool) -> Row:
    """A problem; the split shows in its target."""
    target = 2 + number % 60 if is_train else 1
    return row(
        PROBLEMS,
        problem_id=problem_id(number),
        split="train" if is_train else "heldout",
        difficulty=3 + number % 2,
        prompt=prompt(number, target),
        answer="",
        metadata="{}",
        seed=number,
    )


def prompt(number: int, target: int) -> str:
    """Four numbers and a target."""
    digits = (number // 60**place % 60 for place in range(4))
    return f"<bos> {' '.join(map(str, digits))} T{target} :"


def rounds(path: Path, key: str, num_problems: int, group_size: int, tokenizer: Tokenizer) -> None:
    """The rollouts of a round, or its ledger, some problems at a time."""
    is_ledger = path.parent.stem == "ledger"
    schema = (LEDGER if is_ledger else ROLLOUTS).schema
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, num_problems, PART_PROBLEMS):
            numbers = range(start, min(start + PART_PROBLEMS, num_problems))
            names = np.repeat([problem_id(number) for number in numbers], group_size)
            index = np.tile(np.arange(group_size), len(numbers))
            ids = [f"{key}/{name}/{sample}" for name, sample in zip(names, index, strict=True)]
            placed = {"problem_id": names, "rollout_id": np.array(ids)}
            if is_ledger:
                writer.write_table(ledger(numbers, group_size, placed))
            else:
                placed["sample_index"] = index
                writer.write_table(rollouts(numbers, group_size, placed, tokenizer))


def ledger(numbers: range, group_size: int, placed: Columns) -> pa.Table:
    """What became of rollouts: every tenth problem's group is left out."""
    is_trained = np.repeat(np.array(numbers) % 10 > 0, group_size)
    return taken(
        as_table([row(LEDGER)], LEDGER),
        np.zeros(len(is_trained), int),
        status=np.where(is_trained, "trained", "filtered_group"),
        num_trained_tokens=is_trained * NUM_TOKENS,
        num_untrained_tokens=~is_trained * NUM_TOKENS,
        mean_advantage=is_trained * 0.5,
        **placed,
    )


def rollouts(numbers: range, group_size: int, placed: Columns, tokenizer: Tokenizer) -> pa.Table:
    """What was sampled; all completions have one length."""
    num_rows = len(numbers) * group_size
    texts = [prompt(number, 2 + number % 60) for number in numbers]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    prompts = pa.array([encoding.ids for encoding in encodings], pa.list_(pa.int32()))
    offsets = pa.array(np.arange(num_rows + 1) * NUM_TOKENS, pa.int32())
    tokens = np.random.default_rng(numbers.start).integers(4, 90, num_rows * NUM_TOKENS, np.int32)
    return taken(
        as_table([row(ROLLOUTS, completion_tokens=[0] * NUM_TOKENS, policy_id=BASE)], ROLLOUTS),
        np.zeros(num_rows, int),
        prompt_tokens=prompts.take(pa.array(np.repeat(np.arange(len(numbers)), group_size))),
        completion_tokens=pa.ListArray.from_arrays(offsets, pa.array(tokens)),
        **placed,
    )


def digest(folder: Path, path: str) -> dict[str, Any]:
    """What a lock file has of an output; the list of a folder goes into the cache."""
    target = folder / path
    if target.is_file():
        with target.open("rb") as stream:
            md5 = hashlib.file_digest(stream, _md5).hexdigest()
        return {"md5": md5, "size": target.stat().st_size}
    members = sorted(target.iterdir())
    listed = []
    for file in members:
        listed.append({"md5": _md5(file.read_bytes()).hexdigest(), "relpath": file.name})
    content = json.dumps(listed).encode()
    md5 = f"{_md5(content).hexdigest()}.dir"
    cached = folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(content)
    return {"md5": md5, "size": sum(file.stat().st_size for file in members)}


def _md5(content: bytes = b"") -> Any:
    return hashlib.md5(content, usedforsecurity=False)


if __name__ == "__main__":
    command(main)

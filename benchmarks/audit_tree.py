"""Write a tree to audit: a chain of rounds as this repository's own dvc.lock has them, with tables
of any length.

Reads   dvc.lock, params.yaml, metrics and listings of code of this repository.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from tokenizers import Tokenizer

from stages.contracts.origin import Origin
from stages.contracts.params.whole import load
from stages.contracts.storage.contract import part_name
from stages.contracts.tables.all import TABLES
from stages.contracts.tables.demos import DEMOS
from stages.contracts.tables.ledger import LEDGER
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.running.errors import command
from stages.tasks.formats import load_format

FIRST, BASE, EXAMINED = "i1", "r0", "i3"
NUM_HELDOUT, NUM_TOKENS, PART_PROBLEMS = 400, 20, 20_000
POLICY_FILES = {"config.json": b"{}", "model.safetensors": b"weights"}
Lock = dict[str, Any]


def main(folder: Path, num_rounds: int = 30, num_problems: int = 512, group_size: int = 1) -> None:
    """Write a chain of rounds `n1`, `n2` and on, each of `group_size` rollouts of each of
    `num_problems`.
    """
    steps = lock(num_rounds)
    tokenizer = load_format(load(Path("params.yaml")).task).tokenizer([])
    for step in steps.values():
        for out in step["outs"]:
            write(folder / out["path"], num_problems, group_size, tokenizer)
    known = {
        out["path"]: digest(folder, out["path"]) for step in steps.values() for out in step["outs"]
    }
    for step in steps.values():
        for entry in (*step["deps"], *step["outs"]):
            entry.update(known.get(entry["path"], {}))
    (folder / "dvc.lock").write_text(yaml.dump({"schema": "2.0", "stages": steps}, sort_keys=False))
    (folder / ".dvc").mkdir(exist_ok=True)
    (folder / ".dvc/config").write_text("")
    (folder / ".gitignore").write_text("*.parquet\npolicies/\n.dvc/cache\n")
    (folder / "pyproject.toml").write_bytes(Path("pyproject.toml").read_bytes())
    for words in (
        "init --quiet",
        "add --all",
        "-c user.name=a -c user.email=a commit --quiet --message results",
    ):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)


def lock(num_rounds: int) -> Lock:
    """The steps, their digests still those of this repository."""
    stages = yaml.load(Path("dvc.lock").read_text(), Loader=yaml.CSafeLoader)["stages"]
    steps: Lock = {
        name: stages[name]
        for name in stages
        if name in ("code", "prepare", f"demonstrate@{BASE}", f"sft@{BASE}")
    }
    for number in range(1, num_rounds + 1):
        for name in stages:
            group, _, key = name.partition("@")
            if key == FIRST or (key == EXAMINED and group in ("examine", "evaluate")):
                above = f"n{number - 1}" if number > 1 else BASE
                text = (
                    json.dumps(stages[name])
                    .replace(f"/{BASE}", f"/{above}")
                    .replace(f'"{BASE}"', f'"{above}"')
                )
                for old in (f"/{key}", f" {key}", f".{key}"):
                    text = text.replace(old, f"{old[0]}n{number}")
                steps[f"{group}@n{number}"] = json.loads(text)
    return steps


def write(path: Path, num_problems: int, group_size: int, tokenizer: Tokenizer) -> None:
    """What stands at a path of the lock, by the path's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name, key = path.stem, path.parent.name
    if path.suffix == ".json":
        metrics = {
            "updates": f"updates/{FIRST}",
            "exams": f"exams/{EXAMINED}",
            "sft": f"sft/{BASE}",
        }
        source = (
            f"code/{name}"
            if key == "code"
            else f"metrics/{metrics[key]}"
            if key in metrics
            else None
        )
        path.write_bytes(
            Path(f"data/{source}.json").read_bytes() if source else b'{"success": true}'
        )
    elif not path.suffix:
        path.mkdir(exist_ok=True)
        tokenizer.save(str(path / "tokenizer.json"))
        for file, content in POLICY_FILES.items():
            (path / file).write_bytes(content)
    elif name in ("rollouts", "ledger"):
        rounds(only_part(path), key, num_problems, group_size, tokenizer)
    else:
        table = DEMOS if key == "demos" else TABLES[name]
        rows = {"problems": problems, "demos": demos, "answers": sat, "grades": sat}
        made = (
            list(rows["demos" if key == "demos" else name](num_problems))
            if table.name in rows
            else []
        )
        pq.write_table(pa.Table.from_pylist(made, table.schema), only_part(path))


def only_part(path: Path) -> Path:
    """The part file of a table of one part, its folder made."""
    path.mkdir(exist_ok=True)
    return path / part_name(0, 1)


def problems(num_problems: int) -> Iterator[dict[str, Any]]:
    """Train problems, then held-out ones."""
    for number in range(num_problems + NUM_HELDOUT):
        is_held = number >= num_problems
        yield {
            "problem_id": f"countdown:{number}",
            "task": "countdown",
            "split": "heldout" if is_held else "train",
            "difficulty": 3 + number % 2,
            "prompt": prompt(number, 1 if is_held else 2 + number % 60),
            "answer": "",
            "metadata": "{}",
            "seed": number,
        }


def prompt(number: int, target: int) -> str:
    """Four numbers and a target."""
    return f"<bos> {number % 60} {number // 60 % 60} {number // 3600 % 60} {number // 216_000 % 60} T{target} :"


def demos(num_problems: int) -> Iterator[dict[str, Any]]:
    """A demonstration of each train problem."""
    for number in range(num_problems):
        constant = {"strategy": "revise", "text": "# 1", "is_correct": True, "num_segments": 0}
        yield {"demo_id": number, "problem_id": f"countdown:{number}", **constant}


def sat(num_problems: int) -> Iterator[dict[str, Any]]:
    """A row of an exam for each held-out problem; what an audit does not read is nothing."""
    texts = dict.fromkeys(("policy_id", "verdict", "answer"), "")
    counts = ("num_segments", "num_repeats", "num_hits", "num_judged_hits", "num_judged_misses")
    numbers = dict.fromkeys(
        (*counts, "num_false_negatives", "num_false_positives", "sample_index"), 0
    )
    for number in range(num_problems, num_problems + NUM_HELDOUT):
        problem = {
            "problem_id": f"countdown:{number}",
            "split": "heldout",
            "difficulty": 3 + number % 2,
        }
        yield {
            **problem,
            **texts,
            **numbers,
            "budget_tokens": 72,
            "used_tokens": 9,
            "is_forced": False,
            "reward": 1.0,
        }


def rounds(path: Path, key: str, num_problems: int, group_size: int, tokenizer: Tokenizer) -> None:
    """The rollouts of a round, or its ledger, some problems at a time."""
    is_ledger = path.parent.stem == "ledger"
    schema = (LEDGER if is_ledger else ROLLOUTS).schema
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, num_problems, PART_PROBLEMS):
            numbers = range(start, min(start + PART_PROBLEMS, num_problems))
            columns = (
                ledger(numbers, group_size)
                if is_ledger
                else rollouts(numbers, key, group_size, tokenizer)
            )
            names = [f"countdown:{number}" for number in numbers for _ in range(group_size)]
            columns["problem_id"] = names
            columns["rollout_id"] = [
                f"{key}/{name}/{row % group_size}" for row, name in enumerate(names)
            ]
            arrays = [pa.array(columns[field.name], field.type) for field in schema]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def ledger(numbers: range, group_size: int) -> dict[str, Any]:
    """What became of them: every tenth problem's group is left out."""
    is_trained = np.repeat(np.array(numbers) % 10 > 0, group_size)
    return {
        "status": np.where(is_trained, "trained", "filtered_group").tolist(),
        "num_trained_tokens": is_trained * NUM_TOKENS,
        **dict.fromkeys(
            ("num_cue_tokens", "num_environment_tokens"), np.zeros(len(is_trained), int)
        ),
        "num_untrained_tokens": ~is_trained * NUM_TOKENS,
        "mean_advantage": is_trained * 0.5,
    }


def rollouts(numbers: range, key: str, group_size: int, tokenizer: Tokenizer) -> dict[str, Any]:
    """What was sampled; all completions have one length."""
    num_rows = len(numbers) * group_size
    encodings = tokenizer.encode_batch(
        [prompt(n, 2 + n % 60) for n in numbers], add_special_tokens=False
    )
    prompts = pa.array([encoding.ids for encoding in encodings], pa.list_(pa.int32()))
    offsets = pa.array(np.arange(num_rows + 1) * NUM_TOKENS, pa.int32())
    tokens = np.random.default_rng(numbers.start).integers(4, 90, num_rows * NUM_TOKENS, np.int32)
    zeros = np.zeros(num_rows, int)
    return {
        "prompt_tokens": prompts.take(pa.array(np.repeat(np.arange(len(numbers)), group_size))),
        "completion_tokens": pa.ListArray.from_arrays(offsets, pa.array(tokens)),
        "sampler_logprobs": pa.ListArray.from_arrays(
            offsets, pa.array(np.zeros(len(tokens), np.float32))
        ),
        "token_origin": pa.ListArray.from_arrays(
            offsets, pa.array(np.full(len(tokens), Origin.SAMPLED, np.int8))
        ),
        **dict.fromkeys(("sample_index", "num_thinking_tokens", "seed"), zeros),
        "policy_id": [BASE] * num_rows,
        "finish_reason": ["stop"] * num_rows,
        "temperature": np.ones(num_rows),
    }


def digest(folder: Path, path: str) -> dict[str, Any]:
    """What a lock file has of an output; the list of a folder goes into the cache."""
    target = folder / path
    if target.is_file():
        with target.open("rb") as stream:
            return {
                "md5": hashlib.file_digest(stream, _md5).hexdigest(),
                "size": target.stat().st_size,
            }
    members = sorted(target.iterdir())
    listed = [{"md5": _md5(f.read_bytes()).hexdigest(), "relpath": f.name} for f in members]
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

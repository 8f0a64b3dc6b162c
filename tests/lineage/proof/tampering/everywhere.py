"""What was changed in all places alike: nothing but a signed statement shows it."""

import json
from pathlib import Path

from tests.lineage.forging import (
    commit,
    cover_up,
    edited,
    flipped,
    put,
    relisted,
)
from tests.lineage.proof.tampering.kinds import (
    CODE,
    LISTING,
    POLICY,
    SCORES,
    WEIGHTS,
    kind,
)


@kind("statement")
def scores_flipped_verdict_and_all(tree: Path) -> None:
    edited(tree / SCORES, "reward", lambda rewards: [1.0] * len(rewards))
    edited(tree / SCORES, "verdict", lambda verdicts: ["correct"] * len(verdicts))
    cover_up(tree, SCORES)


@kind("statement")
def policy_replaced_digests_and_all(tree: Path) -> None:
    put(tree / WEIGHTS, flipped((tree / WEIGHTS).read_bytes()))
    cover_up(tree, POLICY)


@kind("statement")
def requirements_edited(tree: Path) -> None:
    with next((tree / "requirements").glob("*.txt")).open("a") as file:
        file.write("backdoor==1.0\n")
    commit(tree)


@kind("statement")
def params_and_lock_edited_together(tree: Path) -> None:
    for name in ("params.yaml", "dvc.lock"):
        text = (tree / name).read_text()
        (tree / name).write_text(text.replace("temperature: 1.2", "temperature: 1.3"))
    commit(tree)


@kind("statement")
def code_and_lock_edited_together(tree: Path) -> None:
    content = (tree / CODE).read_bytes() + b"edited = 1\n"
    relisted(tree / LISTING, CODE, content)
    (tree / CODE).write_bytes(content)
    cover_up(tree, LISTING, "stages")


@kind("statement")
def file_left_out_of_a_listing(tree: Path) -> None:
    listing = json.loads((tree / LISTING).read_text())
    del listing[CODE]
    (tree / LISTING).write_text(json.dumps(listing))
    cover_up(tree, LISTING)


@kind("statement")
def seeds_and_commands_edited_everywhere(tree: Path) -> None:
    for name in ("dvc.yaml", "dvc.lock"):
        text = (tree / name).read_text()
        (tree / name).write_text(text.replace("PYTHONHASHSEED=0", "PYTHONHASHSEED=1"))
    commit(tree)

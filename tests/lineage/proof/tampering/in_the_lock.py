"""dvc.lock, and what it is of: params, dvc.yaml, code, metrics."""

from pathlib import Path

import yaml

from tests.lineage.forging import (
    commit,
    cover_up,
    drop_step,
    edit_step,
    locked,
    md5_of,
    put,
    relisted,
    replace,
)
from tests.lineage.proof.tampering.kinds import (
    CODE,
    EXAMINED,
    LEDGER,
    LISTING,
    SCORES,
    UPDATED,
    kind,
)


@kind("bytes")
def digest_of_an_output_edited(tree: Path) -> None:
    edit_step(tree, "update@s1", locked(tree, LEDGER), f"{md5_of(b'another ledger')}.dir")


@kind("edges")
def digest_of_an_input_edited(tree: Path) -> None:
    edit_step(
        tree, "update@s1", locked(tree, SCORES), locked(tree, "data/rounds/i1/scores.parquet")
    )


@kind("edges")
def digest_of_a_policys_tokenizer_edited(tree: Path) -> None:
    tokenizer = md5_of((tree / "data/policies/i1/tokenizer.json").read_bytes())
    edit_step(tree, "score@s1", tokenizer, md5_of(b"another tokenizer"))


@kind("lock")
def size_of_an_output_edited(tree: Path) -> None:
    lock = yaml.safe_load((tree / "dvc.lock").read_text())
    sizes = {out["path"]: out["size"] for out in lock["stages"]["sft@r0"]["outs"]}
    size = sizes["data/policies/r0"]
    edit_step(tree, "sft@r0", f"size: {size}", f"size: {size - 1}")


@kind("params")
def recorded_param_edited(tree: Path) -> None:
    edit_step(tree, "update@s1", "learning_rate: 0.0003", "learning_rate: 0.0004")


@kind("params")
def recorded_param_removed(tree: Path) -> None:
    edit_step(tree, "rollout@s1", "          temperature: 1.2\n", "")


@kind("command")
def recorded_command_edited(tree: Path) -> None:
    edit_step(tree, "rollout@s1", "python -m stages.rollout", "python -m stages.cheat")


@kind("code")
def digest_of_code_edited(tree: Path) -> None:
    edit_step(tree, "update@s1", locked(tree, LISTING), md5_of(b"other code"))


@kind("deps")
def parent_swapped(tree: Path) -> None:
    edit_step(tree, "rollout@s1", "path: data/policies/i1", "path: data/policies/r0")


@kind("edges")
def policy_of_the_parent_swapped(tree: Path) -> None:
    edit_step(
        tree, "rollout@s1", locked(tree, "data/policies/i1"), locked(tree, "data/policies/r0")
    )


@kind("steps")
def round_removed_from_the_lock(tree: Path) -> None:
    for step in ("score", "probe", "infogain", "validate"):
        drop_step(tree, f"{step}@i1")


@kind("steps")
def round_renamed_in_the_lock(tree: Path) -> None:
    lock = tree / "dvc.lock"
    lock.write_text(lock.read_text().replace("@i1:", "@i9:"))


@kind("outs")
def output_removed_from_the_lock(tree: Path) -> None:
    text = (tree / "dvc.lock").read_text()
    start = text.rindex(f"    - path: {LEDGER}\n")
    (tree / "dvc.lock").write_text(
        text[:start] + text[text.index("nfiles", start) :].partition("\n")[2]
    )


@kind("deps")
def input_removed_from_the_lock(tree: Path) -> None:
    text = (tree / "dvc.lock").read_text()
    start = text.index(f"    - path: {LISTING}", text.index("  update@s1:"))
    (tree / "dvc.lock").write_text(
        text[:start] + text[text.index("size", start) :].partition("\n")[2]
    )


@kind("steps")
def round_removed_from_the_params(tree: Path) -> None:
    replace(
        tree / "params.yaml",
        "  i1: {parent: r0, reference: r0, recipe: information, judge: exact, seed: 1}\n",
        "",
    )


@kind("params")
def params_edited_after_the_fact(tree: Path) -> None:
    replace(tree / "params.yaml", "temperature: 1.2", "temperature: 1.3")
    commit(tree)


@kind("params")
def seed_edited_after_the_fact(tree: Path) -> None:
    replace(tree / "params.yaml", "judge: exact, seed: 2}", "judge: exact, seed: 3}")


@kind("code")
def code_edited_after_the_fact(tree: Path) -> None:
    with (tree / CODE).open("a") as file:
        file.write("edited = 1\n")
    commit(tree)


@kind("code")
def code_edited_and_the_digest_of_all_of_it(tree: Path) -> None:
    code_edited_after_the_fact(tree)
    cover_up(tree, "stages")


@kind("code")
def code_added_that_no_step_knows(tree: Path) -> None:
    put(tree / "stages/other.py", b"a = 1\n")
    commit(tree)


@kind("code")
def code_of_a_listing_swapped(tree: Path) -> None:
    relisted(tree / LISTING, CODE, b"other = 1\n")
    cover_up(tree, LISTING)


@kind("metrics")
def listing_edited(tree: Path) -> None:
    replace(tree / LISTING, CODE, "stages/pure/debit.py")


@kind("code")
def code_removed(tree: Path) -> None:
    (tree / CODE).unlink()


@kind("command")
def command_edited_in_the_graph(tree: Path) -> None:
    replace(tree / "dvc.yaml", "python -m stages.update", "python -m stages.improve")


@kind("deps")
def input_removed_from_the_graph(tree: Path) -> None:
    given = '        - "data/rounds/${key}/gains.parquet"\n'
    gate = '        - "data/rounds/${key}/validation.json"\n'
    replace(tree / "dvc.yaml", given + gate, given)


@kind("metrics")
def metrics_of_an_update_edited(tree: Path) -> None:
    replace(tree / UPDATED, '"num_steps": 2', '"num_steps": 3')


@kind("metrics")
def metrics_of_an_exam_edited(tree: Path) -> None:
    replace(tree / EXAMINED, '"mean": 0.', '"mean": 0.9')
    commit(tree)


@kind("bytes")
def metrics_removed(tree: Path) -> None:
    (tree / UPDATED).unlink()
    commit(tree)

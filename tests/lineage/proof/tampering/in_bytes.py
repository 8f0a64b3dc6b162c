"""Bytes in the working tree, in the cache and in the remote."""

import json
import shutil
from pathlib import Path

from tests.lineage.forging import (
    PART,
    cached,
    edited,
    flipped,
    locked,
    md5_of,
    overwrite,
    part_md5,
    put,
)
from tests.lineage.proof.tampering.kinds import (
    DEMOS,
    GAINS,
    LEDGER,
    POLICY,
    PROBES,
    PROBLEMS,
    ROLLOUTS,
    SCORES,
    WEIGHTS,
    kind,
)


@kind("working tree")
def table_row_edited(tree: Path) -> None:
    edited(tree / ROLLOUTS, "seed", lambda seeds: [seeds[0] + 1, *seeds[1:]])


@kind("working tree")
def table_edited_with_the_same_size(tree: Path) -> None:
    put(tree / SCORES / PART, flipped((tree / SCORES / PART).read_bytes()))


@kind("cache")
def edited_in_place_with_the_same_size_and_mtime_in_tree_and_cache(tree: Path) -> None:
    part = tree / GAINS / PART
    assert part.samefile(cached(tree, part_md5(tree, GAINS)))
    overwrite(part, flipped(part.read_bytes()))


@kind("working tree")
def table_removed(tree: Path) -> None:
    shutil.rmtree(tree / PROBES)


@kind("working tree")
def part_of_another_table_added(tree: Path) -> None:
    put(tree / PROBES / "part-00001-of-00002.parquet", (tree / PROBES / PART).read_bytes())


@kind("working tree")
def demonstrations_edited(tree: Path) -> None:
    edited(tree / DEMOS, "text", lambda texts: [texts[1], *texts[1:]])


@kind("working tree")
def weights_edited(tree: Path) -> None:
    put(tree / WEIGHTS, flipped((tree / WEIGHTS).read_bytes()))


@kind("working tree")
def weights_replaced_by_another_policys(tree: Path) -> None:
    put(tree / WEIGHTS, (tree / "data/policies/r0/model.safetensors").read_bytes())


@kind("working tree")
def policy_replaced_by_another(tree: Path) -> None:
    shutil.rmtree(tree / POLICY)
    shutil.copytree(tree / "data/policies/i1", tree / POLICY)


@kind("working tree")
def extra_file_in_the_policy(tree: Path) -> None:
    put(tree / POLICY / "modeling_custom.py", b"print('hello')\n")


@kind("working tree")
def file_of_the_policy_removed(tree: Path) -> None:
    (tree / POLICY / "config.json").unlink()


@kind("working tree")
def tokenizer_edited(tree: Path) -> None:
    path = tree / POLICY / "tokenizer.json"
    put(path, path.read_bytes().replace(b"0", b"1", 1))


@kind("working tree")
def problems_edited(tree: Path) -> None:
    edited(tree / PROBLEMS, "answer", lambda answers: [answers[1], *answers[1:]])


@kind("working tree")
def validation_edited(tree: Path) -> None:
    path = tree / "data/rounds/s1/validation.json"
    put(path, path.read_bytes() + b"\n")


@kind("working tree")
def table_of_an_ancestor_edited(tree: Path) -> None:
    edited(tree / "data/rounds/i1/scores.parquet", "answer", lambda answers: [*answers[:-1], "0"])


@kind("cache")
def cache_object_swapped(tree: Path) -> None:
    put(
        cached(tree, part_md5(tree, SCORES)),
        (tree / "data/rounds/i1/scores.parquet" / PART).read_bytes(),
    )


@kind("cache")
def cache_object_deleted(tree: Path) -> None:
    cached(tree, part_md5(tree, LEDGER)).unlink()


@kind("cache")
def cache_object_appended_to(tree: Path) -> None:
    path = cached(tree, part_md5(tree, ROLLOUTS))
    put(path, path.read_bytes() + b"\0")


@kind("cache")
def cache_object_cut_short(tree: Path) -> None:
    path = cached(tree, part_md5(tree, ROLLOUTS))
    put(path, path.read_bytes()[:-1])


@kind("cache")
def cached_list_of_a_folder_edited(tree: Path) -> None:
    path = cached(tree, locked(tree, POLICY))
    entries = json.loads(path.read_bytes())
    put(path, json.dumps(entries[1:]).encode())


@kind("cache")
def member_of_a_cached_folder_deleted(tree: Path) -> None:
    cached(tree, md5_of((tree / WEIGHTS).read_bytes())).unlink()


@kind("remote")
def remote_object_changed(tree: Path) -> None:
    path = remote(tree, part_md5(tree, SCORES))
    put(path, flipped(path.read_bytes()))


@kind("remote")
def remote_object_emptied(tree: Path) -> None:
    put(remote(tree, part_md5(tree, DEMOS)), b"")


@kind("remote")
def remote_list_of_a_folder_changed(tree: Path) -> None:
    put(
        remote(tree, locked(tree, POLICY)),
        remote(tree, locked(tree, "data/policies/i1")).read_bytes(),
    )


@kind("remote")
def member_of_a_remote_folder_deleted(tree: Path) -> None:
    remote(tree, md5_of((tree / WEIGHTS).read_bytes())).unlink()


def remote(tree: Path, md5: str) -> Path:
    """Where the remote has an object."""
    return tree.parent / "remote/files/md5" / md5[:2] / md5[2:]

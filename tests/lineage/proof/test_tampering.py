"""Planted tampering, every kind of it found; the names say what was done, the checks what must tell of it."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.checkouts import run, succeed
from lineage.proof.keys import make_keys
from lineage.proof.signing import sign
from lineage.proof.verify import verify
from lineage.record.audit import open_audit
from tests.lineage import forging
from tests.lineage.forging import (
    PART,
    cached,
    commit,
    cover_up,
    drop_step,
    duplicate,
    edit_step,
    edited,
    flipped,
    locked,
    overwrite,
    part_md5,
    put,
    replace,
)

ROLLOUTS, SCORES, SEGMENTS, PROBES, GAINS, LEDGER = (
    f"data/rounds/s1/{name}.parquet"
    for name in ("rollouts", "scores", "segments", "probes", "gains", "ledger")
)
DEMOS, POLICY, WEIGHTS = (
    "data/demos/r0.parquet",
    "data/policies/s1",
    "data/policies/s1/model.safetensors",
)
ANSWERS, GRADES = "data/exams/s1/answers.parquet", "data/exams/s1/grades.parquet"
UPDATED, EXAMINED = "data/metrics/updates/s1.json", "data/metrics/exams/s1.json"
LISTING = "data/code/update.json"
ATTESTED = "data/attestations/s1"
Tamper = Callable[[Path], None]
KINDS: dict[str, tuple[str, Tamper]] = {}


@pytest.fixture(scope="module")
def signed(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: a signed tree with a remote, our keys, and those of someone else."""
    folder = tmp_path_factory.mktemp("signed")
    tree = forging.slim(audited, folder / "tree")
    with (tree / ".dvc/config").open("a") as config:
        config.write("['remote \"shelf\"']\n    url = ../../remote\n")
    shutil.copytree(tree / ".dvc/cache/files", folder / "remote/files")
    commit(tree)
    for name in ("ours", "theirs"):
        make_keys(folder / f"{name}.key", folder / f"{name}.pub")
    for policy in ("i1", "s1"):
        sign(open_audit(tree, None), policy, folder / "ours.key")
    succeed(["git", "add", "--force", "data/attestations"], tree)
    succeed(["git", "commit", "--quiet", "--message", "signed"], tree)
    succeed(["git", "gc", "--quiet"], tree)
    return folder


@pytest.fixture
def folder(signed: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it to tamper with, gone afterwards: there are many, of hundreds of files each."""
    yield duplicate(signed, tmp_path / "folder")
    shutil.rmtree(tmp_path / "folder")


def kind(check: str) -> Callable[[Tamper], Tamper]:
    """Register a kind of tampering, and the check that must find it."""

    def register(tamper: Tamper) -> Tamper:
        KINDS[tamper.__name__] = (check, tamper)
        return tamper

    return register


# Bytes in the working tree.


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
    edited(tree / "data/problems.parquet", "answer", lambda answers: [answers[1], *answers[1:]])


@kind("working tree")
def validation_edited(tree: Path) -> None:
    path = tree / "data/rounds/s1/validation.json"
    put(path, path.read_bytes() + b"\n")


@kind("working tree")
def table_of_an_ancestor_edited(tree: Path) -> None:
    edited(tree / "data/rounds/i1/scores.parquet", "answer", lambda answers: [*answers[:-1], "0"])


# Bytes in the cache and in the remote.


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
    cached(tree, forging.md5_of((tree / WEIGHTS).read_bytes())).unlink()


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
    remote(tree, forging.md5_of((tree / WEIGHTS).read_bytes())).unlink()


# dvc.lock, and what it is of.


@kind("bytes")
def digest_of_an_output_edited(tree: Path) -> None:
    edit_step(tree, "update@s1", locked(tree, LEDGER), f"{forging.md5_of(b'another ledger')}.dir")


@kind("edges")
def digest_of_an_input_edited(tree: Path) -> None:
    edit_step(
        tree, "update@s1", locked(tree, SCORES), locked(tree, "data/rounds/i1/scores.parquet")
    )


@kind("edges")
def digest_of_a_policys_tokenizer_edited(tree: Path) -> None:
    tokenizer = forging.md5_of((tree / "data/policies/i1/tokenizer.json").read_bytes())
    edit_step(tree, "score@s1", tokenizer, forging.md5_of(b"another tokenizer"))


@kind("lock")
def size_of_an_output_edited(tree: Path) -> None:
    edit_step(tree, "sft@r0", "size: 342651", "size: 342650")


@kind("params")
def recorded_param_edited(tree: Path) -> None:
    edit_step(tree, "update@s1", "alpha: 1.0", "alpha: 2.0")


@kind("params")
def recorded_param_removed(tree: Path) -> None:
    edit_step(tree, "rollout@s1", "          temperature: 1.2\n", "")


@kind("command")
def recorded_command_edited(tree: Path) -> None:
    edit_step(tree, "rollout@s1", "python -m stages.rollout", "python -m stages.cheat")


@kind("code")
def digest_of_code_edited(tree: Path) -> None:
    edit_step(tree, "update@s1", locked(tree, LISTING), forging.md5_of(b"other code"))


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
    with (tree / "stages/pure/credit.py").open("a") as file:
        file.write("\n")
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
    replace(
        tree / LISTING,
        forging.md5_of((tree / "stages/update.py").read_bytes()),
        forging.md5_of(b"other code"),
    )
    cover_up(tree, LISTING)


@kind("metrics")
def listing_edited(tree: Path) -> None:
    replace(tree / LISTING, "stages/pure/credit.py", "stages/pure/debit.py")


@kind("code")
def code_removed(tree: Path) -> None:
    (tree / "stages/pure/credit.py").unlink()


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


@kind("working tree")
def metrics_removed(tree: Path) -> None:
    (tree / UPDATED).unlink()
    commit(tree)


# Rows changed, and every digest made anew: dvc.lock, cache and commit agree.


@kind("rows")
def ledger_rewritten(tree: Path) -> None:
    edited(tree / LEDGER, "num_trained_tokens", lambda counts: [*counts[1:], counts[0]])
    cover_up(tree, LEDGER)


@kind("rows")
def ledger_status_rewritten(tree: Path) -> None:
    edited(tree / LEDGER, "status", lambda names: ["trained"] * len(names))
    cover_up(tree, LEDGER)


@kind("rows")
def rollouts_of_another_policy(tree: Path) -> None:
    edited(tree / ROLLOUTS, "policy_id", lambda names: ["r0", *names[1:]])
    cover_up(tree, ROLLOUTS)


@kind("rows")
def rollout_of_an_exam_problem(tree: Path) -> None:
    edited(tree / ROLLOUTS, "problem_id", lambda names: [*names[1:], heldout(tree)])
    cover_up(tree, ROLLOUTS)


@kind("rows")
def demonstration_of_an_exam_problem(tree: Path) -> None:
    edited(tree / DEMOS, "problem_id", lambda names: [*names[1:], heldout(tree)])
    cover_up(tree, DEMOS)


@kind("rows")
def reward_raised(tree: Path) -> None:
    edited(tree / SCORES, "reward", lambda rewards: [1.0] * len(rewards))
    cover_up(tree, SCORES)


@kind("rows")
def segment_stretched(tree: Path) -> None:
    edited(tree / SEGMENTS, "end_token", lambda ends: [ends[0] + 1000, *ends[1:]])
    cover_up(tree, SEGMENTS)


@kind("rows")
def probes_of_no_rollout(tree: Path) -> None:
    edited(tree / PROBES, "rollout_id", lambda names: ["s1/other/0", *names[1:]])
    cover_up(tree, PROBES)


@kind("rows")
def progress_raised(tree: Path) -> None:
    edited(tree / GAINS, "progress", lambda gains: [gains[0] + 0.5, *gains[1:]])
    cover_up(tree, GAINS)


@kind("rows")
def answers_of_an_exam_rewritten(tree: Path) -> None:
    edited(tree / ANSWERS, "answer", lambda answers: [*answers[1:], "1+1"])
    cover_up(tree, ANSWERS)


@kind("rows")
def grades_raised(tree: Path) -> None:
    edited(tree / GRADES, "reward", lambda rewards: [1.0] * len(rewards))
    edited(tree / GRADES, "verdict", lambda verdicts: ["correct"] * len(verdicts))
    cover_up(tree, GRADES)


@kind("rows")
def tokens_of_an_update_rewritten(tree: Path) -> None:
    replace(tree / UPDATED, '"trained": 8', '"trained": 9')
    cover_up(tree, UPDATED)


@kind("rows")
def table_without_its_column(tree: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(tree / LEDGER).drop_columns(["status"])
    (tree / LEDGER / PART).unlink()
    pq.write_table(table, tree / LEDGER / PART)
    cover_up(tree, LEDGER)


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
    path = tree / "stages/update.py"
    old = path.read_bytes()
    path.write_bytes(old.replace(b"\n\n\n", b"\n\n\n# edited\n", 1))
    replace(tree / LISTING, forging.md5_of(old), forging.md5_of(path.read_bytes()))
    cover_up(tree, LISTING, "stages")


@kind("statement")
def file_left_out_of_a_listing(tree: Path) -> None:
    listed = json.loads((tree / LISTING).read_text())
    del listed["stages/pure/credit.py"]
    (tree / LISTING).write_text(json.dumps(listed))
    cover_up(tree, LISTING)


@kind("statement")
def seeds_and_commands_edited_everywhere(tree: Path) -> None:
    for name in ("dvc.yaml", "dvc.lock"):
        text = (tree / name).read_text()
        (tree / name).write_text(text.replace("PYTHONHASHSEED=0", "PYTHONHASHSEED=1"))
    commit(tree)


# Statements, signatures, git.


@kind("signature")
def signature_forged(tree: Path) -> None:
    envelope(
        tree,
        lambda content: content["signatures"][0].update(sig=base64.b64encode(b"0" * 70).decode()),
    )


@kind("signature")
def signature_removed_from_its_envelope(tree: Path) -> None:
    envelope(tree, lambda content: content["signatures"].clear())


@kind("signature")
def envelope_no_json(tree: Path) -> None:
    put(tree / ATTESTED / "statement.dsse.json", b"trust me\n")


@kind("signature")
def signed_by_another_key(tree: Path) -> None:
    sign(open_audit(tree, None), "s1", tree.parent / "theirs.key")


@kind("signature")
def signed_by_another_key_in_our_keys_name(tree: Path) -> None:
    ours = json.loads((tree / ATTESTED / "statement.dsse.json").read_text())["signatures"][0][
        "keyid"
    ]
    signed_by_another_key(tree)
    envelope(tree, lambda content: content["signatures"][0].update(keyid=ours))


@kind("signature")
def all_made_anew_and_signed_by_another_key(tree: Path) -> None:
    policy_replaced_digests_and_all(tree)
    shutil.rmtree(tree.parent / "remote")
    (tree.parent / "remote").mkdir()
    drop_exam(tree)
    signed_by_another_key(tree)


@kind("statement")
def statement_edited(tree: Path) -> None:
    replace(tree / ATTESTED / "statement.json", '"seed": 2', '"seed": 3')


@kind("signature")
def statement_edited_in_its_envelope_too(tree: Path) -> None:
    statement_edited(tree)
    content = (tree / ATTESTED / "statement.json").read_bytes()
    envelope(tree, lambda found: found.update(payload=base64.b64encode(content).decode()))


@kind("statement")
def digest_removed_from_the_statement(tree: Path) -> None:
    path = tree / ATTESTED / "statement.json"
    content = json.loads(path.read_text())
    content["predicate"]["buildDefinition"]["resolvedDependencies"].pop()
    path.write_text(json.dumps(content))


@kind("statement")
def statement_no_statement(tree: Path) -> None:
    put(tree / ATTESTED / "statement.json", b"{}\n")


@kind("statement")
def statement_of_another_policy(tree: Path) -> None:
    shutil.rmtree(tree / ATTESTED)
    shutil.copytree(tree / "data/attestations/i1", tree / ATTESTED)


@kind("statement")
def statement_removed(tree: Path) -> None:
    shutil.rmtree(tree / ATTESTED)
    commit(tree)


@kind("statement")
def model_signature_removed(tree: Path) -> None:
    (tree / ATTESTED / "model.sig").unlink()


@kind("signature")
def model_signature_of_another_policy(tree: Path) -> None:
    shutil.copy(tree / "data/attestations/i1/model.sig", tree / ATTESTED / "model.sig")


@kind("signature")
def model_signature_forged(tree: Path) -> None:
    path = tree / ATTESTED / "model.sig"
    content = json.loads(path.read_text())
    content["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(b"0" * 70).decode()
    path.write_text(json.dumps(content))


@kind("git")
def git_object_edited(tree: Path) -> None:
    import zlib

    path = git_object(tree, "HEAD:params.yaml")
    put(
        path,
        zlib.compress(zlib.decompress(path.read_bytes()).replace(b"alpha: 1.0", b"alpha: 2.0")),
    )


@kind("git")
def git_object_cut_short(tree: Path) -> None:
    path = git_object(tree, "HEAD:dvc.lock")
    put(path, path.read_bytes()[:100])


@kind("git")
def git_object_replaced(tree: Path) -> None:
    succeed(["git", "replace", "HEAD:params.yaml", "HEAD:README.md"], tree)


@kind("statement")
def history_rewritten(tree: Path) -> None:
    succeed(["git", "checkout", "--quiet", "--orphan", "clean"], tree)
    commit(tree)


def remote(tree: Path, md5: str) -> Path:
    """Where the remote has an object."""
    return tree.parent / "remote/files/md5" / md5[:2] / md5[2:]


def heldout(tree: Path) -> str:
    """A problem of the exam."""
    import pyarrow.parquet as pq

    rows = pq.read_table(
        tree / "data/problems.parquet", columns=["problem_id", "split"]
    ).to_pylist()
    return next(row["problem_id"] for row in rows if row["split"] == "heldout")


def envelope(tree: Path, change: Callable[[dict], object]) -> None:
    """Edit the signed envelope."""
    path = tree / ATTESTED / "statement.dsse.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def drop_exam(tree: Path) -> None:
    """Take the exam of the policy out of lock and params, as if it had never been sat."""
    for step in ("examine@s1", "evaluate@s1"):
        drop_step(tree, step)
    replace(tree / "params.yaml", "  s1: {judge: exact}\n", "")
    commit(tree)


def git_object(tree: Path, name: str) -> Path:
    """Where git has an object, out of its pack."""
    packs = tree / ".git/objects/pack"
    for pack in packs.glob("*.pack"):
        shutil.move(pack, tree / "pack")
        subprocess.run(
            ["git", "unpack-objects", "-q"],
            cwd=tree,
            input=(tree / "pack").read_bytes(),
            check=True,
        )
    shutil.rmtree(packs)
    oid = succeed(["git", "rev-parse", name], tree).strip()
    return tree / ".git/objects" / oid[:2] / oid[2:]


def findings(folder: Path) -> dict[str, list[str]]:
    """What verify finds, by check."""
    found: dict[str, list[str]] = {}
    for finding in verify(open_audit(folder / "tree", None), "s1", folder / "ours.pub")["findings"]:
        found.setdefault(finding["check"], []).append(f"{finding['subject']}: {finding['message']}")
    return found


def test_the_untouched_tree_is_as_it_should_be(signed: Path) -> None:
    assert findings(signed) == {}


@pytest.mark.parametrize("name", KINDS)
def test_tampering_is_found(name: str, folder: Path) -> None:
    check, tamper = KINDS[name]
    tamper(folder / "tree")
    found = findings(folder)
    assert check in found, found


def test_dvc_misses_an_edit_that_keeps_size_and_mtime(folder: Path) -> None:
    """What verify is for: DVC finds nothing to do."""
    succeed(["dvc", "status"], folder / "tree")
    edited_in_place_with_the_same_size_and_mtime_in_tree_and_cache(folder / "tree")
    assert "gains" not in run(["dvc", "status"], folder / "tree").stdout
    assert {"cache", "working tree"} <= findings(folder).keys()

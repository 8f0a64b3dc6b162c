"""dvc.lock, read without DVC."""

from pathlib import Path

import pytest
import yaml

from fixtures.checkouts import succeed
from lineage.record.code_digest import is_listed
from lineage.record.errors import AuditError
from lineage.record.lock import File, Step, read_lock
from lineage.record.tree import open_tree
from tests.lineage import chain

LISTING = "data/code/update.json"
LOCK = """\
schema: '2.0'
stages:
  update@i1:
    cmd: python -m stages.update --policy data/policies/r0 --next-policy
      data/policies/i1 --metrics 'data/metrics/a b.json'
    deps:
    - path: data/policies/r0
      hash: md5
      md5: 0f343b0931126a20f133d67c2b018a3b.dir
      size: 12
      nfiles: 2
    - path: data/policies/r0
      hash: md5
      md5: 0f343b0931126a20f133d67c2b018a3b.dir
      size: 12
      nfiles: 2
    - path: stages/update.py
      hash: md5
      md5: 900150983cd24fb0d6963f7d28e17f72
      size: 3
    params:
      params.yaml:
        rounds.i1:
          seed: 1
        recipes.a.update:
          std_epsilon: 1e-05
          name: 1e-05x
    outs:
    - path: data/policies/i1
      hash: md5
      md5: d41d8cd98f00b204e9800998ecf8427e.dir
      size: 12
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout with a lock file of one step."""
    chain.write(tmp_path, {})
    (tmp_path / "dvc.lock").write_text(LOCK)
    return tmp_path


def test_a_step_says_what_it_ran_on(repository: Path) -> None:
    step = read_lock(open_tree(repository))["update@i1"]
    assert (step.group, step.key) == ("update", "i1")
    assert step.params == {
        "rounds.i1": {"seed": 1},
        "recipes.a.update": {"std_epsilon": 1e-05, "name": "1e-05x"},
    }
    assert step.outs == (File("data/policies/i1", "d41d8cd98f00b204e9800998ecf8427e.dir", 12),)
    assert step.outs[0].is_folder
    assert [dep.path for dep in step.deps] == [
        "data/policies/r0",
        "stages/update.py",
    ]  # listed twice, read once
    assert step.code == {
        "stages/update.py": "900150983cd24fb0d6963f7d28e17f72"
    }  # as before there were listings


def test_flags_name_the_tables(repository: Path) -> None:
    step = read_lock(open_tree(repository))["update@i1"]
    assert step.flags == {
        "policy": "data/policies/r0",
        "next_policy": "data/policies/i1",
        "metrics": "data/metrics/a b.json",
    }
    assert step.written("next_policy") == step.outs[0]
    assert step.written("policy") is None  # read, not written
    assert step.written("missing") is None


def test_a_step_of_no_key() -> None:
    step = Step("prepare", "python -m stages.prepare", (), (), {})
    assert (step.group, step.key, step.flags) == ("prepare", "", {})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "stages",
        "stages:\n  a: 3\n",
        "stages: {a: {deps: []}}",
        "stages: {a: {cmd: b, outs: [1]}}",
    ],
)
def test_what_is_no_lock_file_is_said_to_be_none(repository: Path, content: str) -> None:
    (repository / "dvc.lock").write_text(content)
    with pytest.raises(AuditError, match=r"dvc\.lock is not a lock file"):
        read_lock(open_tree(repository))


@pytest.mark.parametrize("sign", ["<<<<<<< HEAD", "=======", ">>>>>>> other"])
def test_a_merge_conflict_is_named_with_its_line(repository: Path, sign: str) -> None:
    """Of a commit, too: whoever resolves one badly may commit what is left of it."""
    lock = repository / "dvc.lock"
    lock.write_text(f"schema: '2.0'\n\n\n\n{sign}\n{lock.read_text()}")
    with pytest.raises(AuditError, match=r"^dvc\.lock, line 5: a merge conflict"):
        read_lock(open_tree(repository))
    succeed(["git", "commit", "--quiet", "--all", "--message", "conflict"], repository)
    with pytest.raises(AuditError, match=r"^dvc\.lock at \w{12}, line 5: a merge conflict"):
        read_lock(open_tree(repository, "HEAD"))


@pytest.mark.parametrize(
    ("written", "value"),
    [("no", "no"), ("010", 10), ("1:30", "1:30"), ("1e-6", 1e-6), ("0o17", 15), ("1e+16", 1e16)],
)
def test_params_are_read_as_dvc_wrote_them(repository: Path, written: str, value: object) -> None:
    params = f"    params:\n      params.yaml:\n        seed: {written}\n"
    (repository / "dvc.lock").write_text(f"stages:\n  a:\n    cmd: b\n{params}")
    assert read_lock(open_tree(repository))["a"].params == {"seed": value}


def test_no_lock_file_says_who_makes_it(repository: Path) -> None:
    (repository / "dvc.lock").unlink()
    with pytest.raises(AuditError, match="`dvc repro` makes it"):
        read_lock(open_tree(repository))


def test_an_edit_is_seen_by_the_next_reader(repository: Path) -> None:
    read_lock(open_tree(repository))
    (repository / "dvc.lock").write_text(LOCK.replace("seed: 1", "seed: 2"))
    assert read_lock(open_tree(repository))["update@i1"].params["rounds.i1"] == {"seed": 2}
    assert list(read_lock(open_tree(repository, "HEAD"))) == []


def test_a_lock_of_dvc_is_read_whole(audited: Path) -> None:
    steps, stages = (
        read_lock(open_tree(audited)),
        yaml.load((audited / "dvc.lock").read_text(), yaml.CSafeLoader)["stages"],
    )
    assert list(steps) == list(stages)
    for name, step in steps.items():
        assert {out.path for out in step.outs} == {out["path"] for out in stages[name]["outs"]}
        assert all((audited / file.path).exists() for file in (*step.deps, *step.outs))
        for path, digest in step.code.items():
            assert is_listed(path, (audited / path).read_bytes(), digest)
    assert [name for name, step in steps.items() if not step.code] == ["code"]
    listed = {"stages/update/__main__.py", "stages/pure/credit.py"}
    assert listed <= steps["update@i1"].code.keys()


def listed_lock(folder: Path, lister: str, update: str) -> None:
    """A lock file in which the step `code` wrote one listing, and `update` ran by one."""
    entries = []
    for text in (lister, update):
        digests = {"hash": "md5", "md5": chain.md5(text), "size": len(text)}
        entries.append({"path": LISTING, **digests})
    steps = {
        "code": {"cmd": "list", "outs": entries[:1]},
        "update@i1": {"cmd": "update", "deps": entries[1:]},
    }
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": steps}))


def test_a_steps_code_is_that_of_its_listing_though_it_was_written_anew(tmp_path: Path) -> None:
    old, new = (
        '{"stages/update.py": "0"}',
        '{"stages/update.py": "1", "stages/pure/credit.py": "2"}',
    )
    chain.write(tmp_path, {}, files={LISTING: old})
    listed_lock(tmp_path, old, old)
    assert read_lock(open_tree(tmp_path))["update@i1"].code == {"stages/update.py": "0"}
    chain.write(tmp_path, {}, files={LISTING: new})
    listed_lock(tmp_path, new, old)
    assert read_lock(open_tree(tmp_path))["update@i1"].code == {"stages/update.py": "0"}
    listed_lock(tmp_path, new, new)
    assert read_lock(open_tree(tmp_path))["update@i1"].code.keys() == {
        "stages/update.py",
        "stages/pure/credit.py",
    }


@pytest.mark.parametrize("listing", ["no JSON", "[1]"])
def test_what_is_no_listing_lists_nothing(tmp_path: Path, listing: str) -> None:
    chain.write(tmp_path, {}, files={LISTING: listing})
    listed_lock(tmp_path, listing, listing)
    assert read_lock(open_tree(tmp_path))["update@i1"].code == {}
    listed_lock(tmp_path, listing, "bytes that git never had")
    assert read_lock(open_tree(tmp_path))["update@i1"].code == {}

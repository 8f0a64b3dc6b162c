"""What two policies differ by in git and dvc.lock."""

import json
from pathlib import Path

import pytest

from lineage.answers.changes import PinnedDifference, code
from lineage.answers.diff import diff
from lineage.record.audit import open_audit
from lineage.record.code_digest import code_digest, md5_of
from lineage.record.lock import Step
from lineage.record.tree import open_tree
from tests.lineage import chain

UPDATE = "stages/update.py"


def test_two_commits_differ_in_code_and_packages(tmp_path: Path) -> None:
    steps = chain.chain(2)
    old = {UPDATE: "a\nb\n", "requirements/cpu.txt": "numpy==2.3.5\nold==1\n"}
    chain.write(tmp_path, steps, files=old)
    for step in steps.values():
        for dep in step["deps"]:
            if dep["path"] == UPDATE:
                dep["md5"] = "0" * 32
    for out in steps["update@n2"]["outs"]:
        out["md5"] = out["md5"].replace(out["md5"][:4], "0000")
    recipe = steps["update@n2"]["params"]["params.yaml"]
    recipe["recipes.outcome.update"] = chain.UPDATE | {"alpha": 2.0}
    pins = "# pins\nnumpy==2.4.0 ; python_version > '3'\nnew==2\n"
    chain.write(tmp_path, steps, files={UPDATE: "a\nc\nd\n", "requirements/cpu.txt": pins})
    first, second = open_audit(tmp_path, "HEAD~1"), open_audit(tmp_path, None)
    answer = diff(first, "n2", second, "n2")
    assert answer.policies.shared == ["r0", "n1"]
    assert answer.policies.only_before == answer.policies.only_after == ["n2"]
    (param,) = answer.params
    assert (param.key, param.before, param.after) == ("recipe.update.alpha", 1.0, 2.0)
    assert param.at == [("n2", "n2")]
    (file,) = answer.code.files
    assert (file.path, file.added, file.removed, file.steps) == (UPDATE, 2, 1, ["update"])
    assert file.after == ["0" * 32]
    assert answer.code.total is not None
    assert answer.code.total.startswith("3 files changed")
    assert answer.environment.pinned == [
        PinnedDifference("requirements/cpu.txt", "new", None, "2"),
        PinnedDifference("requirements/cpu.txt", "numpy", "2.3.5", "2.4.0"),
        PinnedDifference("requirements/cpu.txt", "old", "1", None),
    ]
    assert answer.exam.is_same_exam
    assert not answer.exam.is_paired


@pytest.mark.parametrize(("edited", "num_changed"), [("a = 1  # why\n", 0), ("a = 2\n", 1)])
def test_a_listing_by_bytes_and_one_by_tokens_are_of_one_file(
    tmp_path: Path, edited: str, num_changed: int
) -> None:
    """Commits before and after listings were of tokens."""
    before = chain.write(tmp_path, {}, files={UPDATE: "a = 1\n"})
    after = chain.write(tmp_path, {"n": chain.step("n", [], [], {})}, files={UPDATE: edited})
    old = Step("update@n1", "", (), (), {}, {UPDATE: md5_of(b"a = 1\n")})
    new = Step("update@n1", "", (), (), {}, {UPDATE: code_digest(edited.encode())})
    answer = code([old], [new], open_tree(tmp_path), [before, after])
    assert (len(answer.files), answer.num_same) == (num_changed, 1 - num_changed)


def test_params_whose_shape_changed_differ_by_their_leaves(tmp_path: Path) -> None:
    """An objective was a name; it is a mapping with its keys now."""
    steps = chain.chain(1)
    chain.write(tmp_path, steps)
    recipe = steps["update@n1"]["params"]["params.yaml"]
    mapping = {"name": "information", "alpha": 1.0}
    recipe["recipes.outcome.update"] = json.loads(json.dumps(chain.UPDATE)) | {"objective": mapping}
    del recipe["recipes.outcome.update"]["alpha"]
    chain.write(tmp_path, steps)
    answer = diff(open_audit(tmp_path, "HEAD~1"), "n1", open_audit(tmp_path, None), "n1")
    assert {entry.key: (entry.before, entry.after) for entry in answer.params} == {
        "recipe.update.objective": ("outcome", None),
        "recipe.update.objective.name": (None, "information"),
        "recipe.update.objective.alpha": (None, 1.0),
        "recipe.update.alpha": (1.0, None),
    }

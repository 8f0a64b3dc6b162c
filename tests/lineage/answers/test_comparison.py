"""How close a policy made anew came, on trees changed by hand."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from fixtures.checkouts import succeed
from lineage.answers.comparison import Comparison, compare
from lineage.record.audit import open_audit
from lineage.record.digests import digests_of
from lineage.record.store import folder_list, folder_members
from lineage.record.tree import open_tree
from lineage.telling.plain import plain
from tests.lineage.forging import PART, md5_of

LOCK = "dvc.lock"
WEIGHTS = "model.safetensors"


def relock(folder: Path, path: str) -> None:
    """Write an output's new digest wherever dvc.lock names it, as if a step had written it so."""
    outs = (out for step in open_audit(folder, None).graph.steps.values() for out in step.outs)
    recorded = next(out for out in outs if out.path == path)
    members = folder_members(open_tree(folder), path)
    if members is None:
        with (folder / path).open("rb") as stream:
            new = digests_of(stream).md5
    else:
        cache = folder / ".dvc/cache/files/md5"
        content = folder_list(members)
        new = f"{md5_of(content)}.dir"
        (cache / new[:2]).mkdir(exist_ok=True)
        (cache / new[:2] / new[2:]).write_bytes(content)
    (folder / LOCK).write_text((folder / LOCK).read_text().replace(recorded.md5, new))


def change(path: Path, write: Callable[[Path], None]) -> None:
    """Change a file that may be a link into the cache."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    write(path)


def nudge(folder: Path, policy: str, by: float) -> None:
    """Move the weights of a policy a little."""

    def shift(path: Path) -> None:
        tensors = load_file(path)
        name = min(tensors)
        tensors[name] = (tensors[name] + np.float32(by)).astype(np.float32)
        save_file(tensors, path, metadata={"format": "pt"})

    change(folder / f"data/policies/{policy}/{WEIGHTS}", shift)
    relock(folder, f"data/policies/{policy}")


def compared(before: Path, after: Path, policy: str = "s1") -> Comparison:
    return compare(open_audit(before, None), open_audit(after, None), policy)


def untouched(audited: Path, policy: str = "s1") -> int:
    """How many steps a policy and its exam came from, without the listing of code."""
    graph = open_audit(audited, None).graph
    steps = graph.ancestors(graph.policy(policy), *graph.exam(policy))
    return len([step for step in steps if step.name != "code"])


def test_an_untouched_tree_is_bit_equal(audited: Path, copy: Path) -> None:
    answer = compared(audited, copy)
    assert (answer.verdict, answer.first, answer.findings) == ("bit-equal", None, [])
    assert answer.num_steps == untouched(audited) > 15


def test_its_json_is_what_it_was(audited: Path, copy: Path) -> None:
    nudge(copy, "s1", 1e-7)
    answer = plain(compared(audited, copy))
    assert json.loads(json.dumps(answer)) == answer
    assert list(answer) == [
        *("policy", "commit", "verdict", "tolerance", "num_steps", "first", "steps", "findings")
    ]
    assert list(answer["steps"][0]) == ["step", "outs", "reasons"]
    assert list(answer["steps"][0]["outs"][0]) == ["path", "is_close", "largest", "unknown"]
    assert answer["tolerance"] == {"absolute": 1e-05, "relative": 0.0001}


def test_weights_off_in_the_last_digit_are_within_tolerance(audited: Path, copy: Path) -> None:
    nudge(copy, "s1", 1e-7)
    answer = compared(audited, copy)
    assert (answer.verdict, answer.first) == ("within tolerance", "update@s1")
    assert answer.findings == []
    (step,) = answer.steps
    (out,) = step.outs
    assert (out.path, out.is_close) == (f"data/policies/s1/{WEIGHTS}", True)
    assert out.largest is not None
    assert 0 < out.largest < 2e-7
    assert step.reasons[0].startswith(
        "nothing on record differs; CPU and threads are not on record"
    )


def test_other_weights_that_do_as_well_are_equal_in_exam_metrics(audited: Path, copy: Path) -> None:
    nudge(copy, "s1", 0.1)
    answer = compared(audited, copy)
    assert (answer.verdict, answer.first) == ("equal in exam metrics", "update@s1")
    assert answer.findings == []


def test_without_exam_other_weights_are_different(audited: Path, copy: Path) -> None:
    nudge(copy, "i1", 0.1)
    answer = compared(audited, copy, "i1")
    assert (answer.verdict, answer.first) == ("different", "update@i1")
    (finding,) = answer.findings
    assert (finding.check, finding.subject) == ("rebuild", "update@i1")


def test_another_exam_result_is_different(audited: Path, copy: Path) -> None:
    nudge(copy, "s1", 0.1)
    path = "data/metrics/exams/s1.json"
    metrics = json.loads((copy / path).read_text())
    metrics["all"]["success"]["budget_9"]["mean"] += 0.04
    (copy / path).write_text(json.dumps(metrics))
    relock(copy, path)
    answer = compared(audited, copy)
    assert (answer.verdict, answer.first) == ("different", "update@s1")
    assert [step.step for step in answer.steps] == ["update@s1", "evaluate@s1"]


def test_the_first_step_that_differs_is_named_with_its_code(audited: Path, copy: Path) -> None:
    """And what comes after it differs by its inputs."""
    listing = "data/code/update.json"
    path, digest = max(open_audit(copy, None).graph.steps["update@i1"].code.items())
    (copy / listing).write_text((copy / listing).read_text().replace(digest, "0" * 32))
    relock(copy, listing)
    nudge(copy, "i1", 0.1)
    nudge(copy, "s1", 0.1)
    first, second = compared(audited, copy).steps
    assert (first.step, second.step) == ("update@i1", "update@s1")
    assert first.reasons == [f"code differ: {path}"]
    assert second.reasons == [f"code differ: {path}", "inputs differ: data/policies/i1"]


def test_params_and_packages_that_differ_are_named(audited: Path, copy: Path) -> None:
    lock = (copy / LOCK).read_text()
    assert lock.count("        rounds.s1:\n") > 1
    seed = r"(        rounds\.s1:\n(?:          .*\n)*?          seed: )2"
    (copy / LOCK).write_text(re.sub(seed, r"\g<1>3", lock))
    nudge(copy, "s1", 0.1)
    path = copy / "data/policies/s1.run.json"
    facts = json.loads(path.read_text())
    facts["packages"]["torch"] = "0"
    path.write_text(json.dumps(facts))
    (step,) = compared(audited, copy).steps
    assert step.reasons == ["params differ: rounds.s1", "packages differ: torch"]


def test_other_threads_are_named(
    audited: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KNOWHOW_THREADS", "1")
    nudge(copy, "s1", 0.1)
    (step,) = compared(audited, copy).steps
    assert step.reasons == ["KNOWHOW_THREADS is 1 here, 2 unless set"]


@pytest.mark.parametrize(
    ("column", "by", "verdict"),
    [("progress", 1e-7, "within tolerance"), ("segment_index", 1, "different")],
)
def test_tables_are_held_row_by_row(
    audited: Path, copy: Path, column: str, by: float, verdict: str
) -> None:
    def shift(path: Path) -> None:
        table = pq.read_table(path)
        place, field = table.schema.get_field_index(column), table.field(column)
        values = pa.array(table.column(column).to_numpy() + by, field.type)
        pq.write_table(table.set_column(place, field, values), path)

    path = "data/rounds/i1/gains.parquet"
    change(copy / path / PART, shift)
    relock(copy, path)
    answer = compared(audited, copy, "i1")
    assert (answer.verdict, answer.first) == (verdict, "infogain@i1")


def test_a_step_that_is_gone_is_different(audited: Path, copy: Path) -> None:
    lock = (copy / LOCK).read_text()
    (copy / LOCK).write_text(lock.replace("  probe@i1:\n", "  other@i1:\n"))
    answer = compared(audited, copy, "i1")
    assert (answer.verdict, answer.first) == ("different", "probe@i1")
    assert answer.steps[0].reasons == ["the commit's dvc.yaml has no such step"]


def test_bytes_that_are_nowhere_leave_the_verdict_standing(
    audited: Path, copy: Path, tmp_path: Path
) -> None:
    succeed(["git", "clone", "--quiet", "--bare", str(audited), "bare"], tmp_path)
    nudge(copy, "s1", 1e-7)
    answer = compared(tmp_path / "bare", copy)
    assert answer.verdict == "equal in exam metrics"
    assert "not in any place" in (answer.steps[0].outs[0].unknown or "")

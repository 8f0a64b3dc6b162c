"""What was compared and what leaked, in a terminal."""

from pathlib import Path

from fixtures.checkouts import ROOT, run
from lineage.answers.leaks import leaks
from lineage.record.audit import open_audit
from lineage.telling.leaktext import text
from tests.lineage.answers.test_leaks import DEMOS, exam_problem, first_as
from tests.lineage.chain import printed
from tests.lineage.forging import cover_up, edited


def shown(tree: Path, columns: int) -> str:
    return printed(text(leaks(open_audit(tree, None), "s1")), columns)


def test_people_see_what_was_compared(audited: Path) -> None:
    assert "33 exam problems held against 260 different prompts" in shown(audited, 200)


def test_people_see_what_leaked(copy: Path) -> None:
    planted = exam_problem(copy)
    edited(copy / DEMOS, "problem_id", first_as(planted["problem_id"]))
    cover_up(copy, DEMOS)
    message = shown(copy, 400)
    assert "no exam problem is" not in message
    where = "1 exam problem(s) in 1 row(s) that trained r0; first row 0"
    assert f"exact leak: {DEMOS}: {where}" in message
    done = run(["python", "-m", "lineage", "leaks", "s1", "--json", "--repo", str(copy)], ROOT)
    assert done.returncode == 1, done.stderr
    assert planted["problem_id"] in done.stdout

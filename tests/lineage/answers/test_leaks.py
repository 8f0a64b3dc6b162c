"""Planted leaks, every digest made anew so that the rows alone show them; no alarm without."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from fixtures.checkouts import succeed
from lineage.answers.leaks import leaks
from lineage.record.audit import open_audit
from lineage.record.errors import AuditError
from lineage.telling.plain import plain
from tests.lineage.forging import cover_up, edit_step, edited

PROBLEMS, DEMOS = "data/problems.parquet", "data/demos/r0.parquet"
ROLLOUTS, GRADES = "data/rounds/i1/rollouts.parquet", "data/exams/s1/grades.parquet"
Change = Callable[[list[Any]], list[Any]]


def problems(tree: Path, split: str) -> list[dict[str, Any]]:
    """The problems of a split."""
    return [row for row in pq.read_table(tree / PROBLEMS).to_pylist() if row["split"] == split]


def exam_problem(tree: Path) -> dict[str, Any]:
    """The exam problem to plant: the last, which has three numbers."""
    return problems(tree, "heldout")[-1]


def first_as(value: Any) -> Change:
    """Puts a value in place of a column's first."""
    return lambda values: [value, *values[1:]]


def prompt_of(tree: Path, split: str, prompt: str) -> Change:
    """Gives the last problem of a split another prompt."""
    name = problems(tree, split)[-1]["problem_id"]
    names = pq.read_table(tree / PROBLEMS)["problem_id"].to_pylist()
    place = names.index(name)
    return lambda prompts: [*prompts[:place], prompt, *prompts[place + 1 :]]


def checks(tree: Path) -> dict[str, set[str]]:
    """What the audit of the last policy finds, by table."""
    by_table: dict[str, set[str]] = {}
    for finding in leaks(open_audit(tree, None), "s1").findings:
        by_table.setdefault(finding.subject, set()).add(finding.check)
    return by_table


def test_an_untouched_tree_has_none(audited: Path) -> None:
    answer = leaks(open_audit(audited, None), "s1")
    assert answer.findings == answer.leaks == []
    assert answer.num_exam_problems == 25 + 8  # held out and reserved
    assert {table.of for table in answer.tables} == {"r0", "i1", "s1", "problems to draw from"}
    assert answer.comparisons.exact == 260
    graded = pq.read_table(audited / GRADES).to_pylist()
    seen = {row["problem_id"] for row in graded if row["split"] == "train"}
    demonstrated = {*pq.read_table(audited / DEMOS)["problem_id"].to_pylist()}
    assert seen & demonstrated, (
        "the exam asks no problem that was trained on, so nothing shows that this is no leak"
    )


def test_a_bare_clone_with_a_cache_tells_the_same(audited: Path, tmp_path: Path) -> None:
    succeed(["git", "clone", "--quiet", "--bare", str(audited), "bare"], tmp_path)
    bare = open_audit(tmp_path / "bare", None, str(audited / ".dvc/cache"))
    assert leaks(bare, "s1") == leaks(open_audit(audited, None), "s1")


def test_an_exam_problem_in_the_demonstrations(copy: Path) -> None:
    edited(copy / DEMOS, "problem_id", first_as(exam_problem(copy)["problem_id"]))
    cover_up(copy, DEMOS)
    assert checks(copy) == {DEMOS: {"exact leak"}}
    [leak] = leaks(open_audit(copy, None), "s1").leaks
    trained = leak.trained
    assert (trained.generation, trained.row, trained.num_rows) == ("r0", "0", 1)
    assert leak.exam_problem == exam_problem(copy)["problem_id"]


def encoded(tree: Path, prompt: str) -> list[int]:
    """Tokens of a prompt as the first policy has them."""
    tokenizer = Tokenizer.from_file(str(tree / "data/policies/r0/tokenizer.json"))
    return tokenizer.encode(prompt, add_special_tokens=False).ids


def test_an_exam_problem_in_the_rollouts(copy: Path) -> None:
    planted = exam_problem(copy)
    edited(copy / ROLLOUTS, "problem_id", first_as(planted["problem_id"]))
    edited(copy / ROLLOUTS, "prompt_tokens", first_as(encoded(copy, planted["prompt"])))
    cover_up(copy, ROLLOUTS)
    assert checks(copy) == {ROLLOUTS: {"exact leak"}}


def test_its_tokens_under_an_innocent_id(copy: Path) -> None:
    edited(copy / ROLLOUTS, "prompt_tokens", first_as(encoded(copy, exam_problem(copy)["prompt"])))
    cover_up(copy, ROLLOUTS)
    assert checks(copy) == {ROLLOUTS: {"exact leak", "prompt of another problem"}}


def test_tokens_of_another_train_problem_are_no_leak_but_odd(copy: Path) -> None:
    edited(copy / ROLLOUTS, "prompt_tokens", lambda prompts: [prompts[-1], *prompts[1:]])
    cover_up(copy, ROLLOUTS)
    assert checks(copy) == {ROLLOUTS: {"prompt of another problem"}}


def reordered(prompt: str) -> str:
    bos, *shown, target, end = prompt.split()
    return " ".join([bos, *sorted(shown, reverse=shown == sorted(shown)), target, end])


@pytest.mark.parametrize(
    ("check", "rewrite"),
    [
        ("exact", str),
        ("canonical", reordered),
        ("canonical", str.upper),
        ("canonical", lambda prompt: prompt.replace(" :", ":").replace(" ", " \t ")),
        (
            "canonical",
            lambda prompt: prompt.translate({ord(str(n)): ord("０") + n for n in range(10)}),
        ),
        (
            "canonical",
            lambda prompt: prompt.translate({ord(str(n)): ord("٠") + n for n in range(10)}),
        ),
    ],
    ids=[
        "same text",
        "reordered",
        "upper case",
        "white space",
        "full-width digits",
        "arabic digits",
    ],
)
def test_an_exam_prompt_under_another_id(
    copy: Path, check: str, rewrite: Callable[[str], str]
) -> None:
    prompt = rewrite(exam_problem(copy)["prompt"])
    assert (prompt == exam_problem(copy)["prompt"]) == (check == "exact")
    edited(copy / PROBLEMS, "prompt", prompt_of(copy, "train", prompt))
    cover_up(copy, PROBLEMS)
    by_table = checks(copy)
    assert f"{check} leak" in by_table[PROBLEMS]
    assert f"{check} leak" in by_table[DEMOS]


def test_a_prompt_nearly_that_of_an_exam_problem(copy: Path) -> None:
    story = (
        "<bos>Tom has 12 apples and 3 pears in a basket, gives 5 apples to Ann, and eats one pear "
        "on his way home. How many apples"
    )
    for split, end in (("heldout", "has he left?\n"), ("train", "does he have left?\n")):
        edited(copy / PROBLEMS, "prompt", prompt_of(copy, split, f"{story} {end}"))
    cover_up(copy, PROBLEMS)
    assert checks(copy)[PROBLEMS] == {"near-duplicate leak"}


def test_a_problem_moved_to_the_train_split_after_its_exam(copy: Path) -> None:
    name = exam_problem(copy)["problem_id"]
    names = pq.read_table(copy / PROBLEMS)["problem_id"].to_pylist()
    splits = ["train" if each == name else None for each in names]
    edited(copy / PROBLEMS, "split", lambda old: [a or b for a, b in zip(splits, old, strict=True)])
    cover_up(copy, PROBLEMS)
    assert checks(copy) == {PROBLEMS: {"exact leak"}}


def test_a_problem_that_the_grades_call_train(copy: Path) -> None:
    edited(copy / DEMOS, "problem_id", first_as(exam_problem(copy)["problem_id"]))
    for exam in ("r0", "s1"):
        edited(
            copy / f"data/exams/{exam}/grades.parquet",
            "split",
            lambda splits: ["train"] * len(splits),
        )
    cover_up(copy, DEMOS, GRADES, "data/exams/r0/grades.parquet")
    assert checks(copy) == {DEMOS: {"exact leak"}}


def test_an_exam_problem_that_was_taken_out_of_the_problems(copy: Path) -> None:
    name = exam_problem(copy)["problem_id"]
    edited(
        copy / PROBLEMS,
        "problem_id",
        lambda names: [f"{each}!" if each == name else each for each in names],
    )
    cover_up(copy, PROBLEMS)
    assert checks(copy) == {name: {"unknown exam problem"}}


def test_demonstrations_of_a_problem_that_no_table_has(copy: Path) -> None:
    edited(copy / DEMOS, "problem_id", first_as("countdown:nowhere"))
    cover_up(copy, DEMOS)
    assert checks(copy) == {DEMOS: {"unknown problem"}}


def test_without_an_exam_problem_there_is_no_answer(copy: Path) -> None:
    edited(copy / PROBLEMS, "split", lambda splits: ["train"] * len(splits))
    for exam in ("r0", "s1"):
        edited(
            copy / f"data/exams/{exam}/grades.parquet",
            "split",
            lambda splits: ["train"] * len(splits),
        )
    cover_up(copy, PROBLEMS, GRADES, "data/exams/r0/grades.parquet")
    with pytest.raises(AuditError, match="nothing to leak"):
        leaks(open_audit(copy, None), "s1")


def test_a_step_that_names_no_table_is_no_proof(copy: Path) -> None:
    edit_step(copy, "sft@r0", "--demos", "--shown")
    with pytest.raises(AuditError, match="sft@r0 names no demos among its inputs"):
        leaks(open_audit(copy, None), "s1")


def test_its_json_is_what_it_was(copy: Path) -> None:
    edited(copy / DEMOS, "problem_id", first_as(exam_problem(copy)["problem_id"]))
    cover_up(copy, DEMOS)
    answer = plain(leaks(open_audit(copy, None), "s1"))
    assert json.loads(json.dumps(answer)) == answer
    assert list(answer) == [
        *("policy", "commit", "num_exam_problems", "tables", "comparisons", "leaks", "unknown"),
        "findings",
    ]
    assert list(answer["comparisons"]) == ["exact", "canonical", "near-duplicate"]
    assert list(answer["leaks"][0]) == [
        *("check", "exam_problem", "generation", "table", "row", "num_rows", "problem_id"),
        *("prompt", "is_other"),
    ]

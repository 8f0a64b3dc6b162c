"""The marks of a text: written and read again, and which one closes a segment."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from fixtures.tasks import countdown_task, mathematics_task
from stages.contracts.format import closing_marker, read_format, without_marker, write_format
from stages.contracts.params.task import TaskParams
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from stages.tasks.marks import marks_of


@pytest.mark.parametrize("task", [countdown_task(), mathematics_task()], ids=lambda t: t.name)
def test_marks_are_read_as_they_were_written(task: TaskParams, tmp_path: Path) -> None:
    marks = marks_of(load_format(task))
    write_format(tmp_path / "format.json", marks)
    assert read_format(tmp_path / "format.json") == marks


def test_a_missing_file_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"format\.json is missing; `dvc repro` makes it"):
        read_format(tmp_path / "format.json")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"cue": 7}, "cue"),
        ({"segment_ends": "="}, "segment_ends"),
        ({"judge_words": ["="]}, "judge_words"),
    ],
)
def test_a_mark_of_another_kind_is_named(
    changes: dict[str, object], where: str, tmp_path: Path
) -> None:
    marks = asdict(marks_of(load_format(countdown_task())))
    (tmp_path / "format.json").write_text(json.dumps({**marks, **changes}))
    with pytest.raises(BadInput, match=rf"{where}.* is missing or wrong; delete it"):
        read_format(tmp_path / "format.json")


@pytest.mark.parametrize(
    ("text", "marker", "left"),
    [
        ("1 + 2 3 <", "<", "1 + 2 3 "),
        ("1 + 2 3 <<", "<<", "1 + 2 3 "),
        ("1 + 2 3", None, "1 + 2 3"),
        ("< 1", None, "< 1"),
        ("", None, ""),
    ],
)
def test_of_several_markers_the_longest_closes(text: str, marker: str | None, left: str) -> None:
    assert closing_marker(text, ("<", "<<")) == marker
    assert without_marker(text, ("<", "<<")) == left

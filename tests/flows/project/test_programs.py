"""A program's output is handed on; what it tells of an error is told, and nothing else."""

from pathlib import Path

import pytest

from flows.project.programs import ProgramFailed, output_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, where `python -m said` finds its program."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended(folder: Path, program: str, *arguments: str) -> ProgramFailed:
    (folder / "said.py").write_text(f"import os, sys\n{program}")
    with pytest.raises(ProgramFailed) as caught:
        output_of("said", *arguments)
    return caught.value


def test_it_has_its_arguments_its_input_and_one_hash_seed(folder: Path) -> None:
    words = "sys.argv[1], sys.stdin.read(), os.environ['PYTHONHASHSEED']"
    (folder / "said.py").write_text(f"import os, sys\nprint({words})")
    assert output_of("said", "word", given="text") == "word text 0\n"


def test_an_error_is_told_whole_without_what_stood_before(folder: Path) -> None:
    failed = ended(folder, "sys.exit('50%|bar\\rerror: two things:\\n  one\\n  two')")
    assert (failed.exit_code, failed.error) == (1, "two things:\n  one\n  two")
    assert str(failed) == failed.error


def test_of_what_tells_no_error_the_last_line_is_told(folder: Path) -> None:
    failed = ended(folder, "1 / 0")
    assert failed.error == ""
    assert str(failed) == (
        "`python -m said` ended with exit code 1: ZeroDivisionError: division by zero"
    )
    assert ended(folder, "sys.exit(75)").last_line == "no output"

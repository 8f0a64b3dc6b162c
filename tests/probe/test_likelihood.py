"""Which answers are known of a problem, and what is said where none is."""

import random
from pathlib import Path

import pytest

from fixtures.checkouts import PROFILES
from stages import prepare
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.solutions import SOLUTIONS
from stages.probe.likelihood import every_answer, need_answers, one_answer
from stages.running.errors import BadInput
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Problem]]:
    """Tables of problems and solutions as `prepare` writes them, and some problems to ask."""
    folder = tmp_path_factory.mktemp("drawn")
    paths = [folder / name for name in ("problems", "solutions", "format.json", "exact")]
    prepare.main(*paths, PROFILES / "tiny.yaml")
    problems = random.Random(0).sample(read_problems(paths[0], split="train"), 20)
    return paths[0], paths[1], problems


def test_the_known_answer_is_one_of_the_set(drawn: tuple[Path, Path, list[Problem]]) -> None:
    problems, solutions, sample = drawn
    every = every_answer(solutions)
    one = one_answer(problems)
    assert any(len(answers) > 1 for answers in every.values())
    for problem in sample:
        assert one[problem.problem_id] == [problem.answer]
        assert problem.answer in every[problem.problem_id]


def test_a_problem_without_solutions_is_refused(
    drawn: tuple[Path, Path, list[Problem]], tmp_path: Path
) -> None:
    _, _, sample = drawn
    write_table(tmp_path / "none", SOLUTIONS, [])
    names = {problem.problem_id for problem in sample}
    with pytest.raises(BadInput, match=r"20 of the 20 problems asked, first .*forced_answer"):
        need_answers(names, every_answer(tmp_path / "none"), "set_likelihood")

"""Mathematics from a file of the user's: question, answer, level, judged by a grammar.

A file is taken whole or not at all: every row that cannot be used is listed by kind and line. Which
split a question is in depends on its text alone, so that no re-ordered or re-spaced twin crosses,
whatever else the file holds.
"""

import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.contracts.params.inits.demonstrations import DirectDemonstrations, WorkedDemonstrations
from stages.contracts.params.task import DatasetTask, DatasetTier
from stages.running.errors import BadInput
from stages.tasks.imported.cells import cell_fault, cell_text, level_text
from stages.tasks.imported.intake import Accepts, Intake, Refusals, canonical
from stages.tasks.imported.row_files import Row, check_sha256, read_rows
from stages.tasks.marks import text_marks
from stages.tasks.question import Question
from stages.tasks.splits import sizes
from stages.tasks.strategies import shown_demonstrations
from stages.tasks.task import Problem, StrategySettings

NO_TIER = -1
"""The difficulty of a row whose level no tier names."""
MAX_LEVELS = 10
NO_VALUES = {"nan", "nat", "none", "null", "n/a", "<na>", "inf", "infinity"}
"""How programs write that a value is missing or none; math-verify would read n*a*n."""


class Dataset:
    """The source of a file's problems; see `stages.tasks.task.Source`."""

    def __init__(self, params: DatasetTask, accepts: Accepts) -> None:
        self.params = params
        self._accepts = accepts
        self._path = Path(params.path)
        self._levels: set[str] = set()
        self._difficulties = {
            str(level): tier.difficulty for tier in params.tiers for level in tier.levels or []
        }

    def problems(self) -> Iterator[Problem]:
        """As many rows per tier and split as params.yaml asks for, drawn from all there are.

        Raises:
            BadInput: the file is another one, rows of it cannot be used, or a tier has too few.
        """
        check_sha256(self._path, self.params.sha256, "task.path")
        problems = self._import()
        num_used = 0
        refused: list[str] = []
        for tier in self.params.tiers:
            drawn = [problem for problem in problems if problem.difficulty == tier.difficulty]
            random.Random(f"{self.params.seed}/{tier.difficulty}").shuffle(drawn)
            for split, wanted in sizes(tier).items():
                of_split = [problem for problem in drawn if problem.split == split]
                if len(of_split) < wanted:
                    refused.append(self._too_few(tier, split, len(of_split)))
                num_used += wanted
                yield from of_split[:wanted]
        if refused:
            raise BadInput("\n".join(refused))
        num_apart = sum(problem.difficulty == NO_TIER for problem in problems)
        print(
            f"{self._path}: {num_used} of {len(problems)} rows are problems; "
            f"{len(problems) - num_used - num_apart} are more than task.tiers ask for, {num_apart} "
            "of a level in no tier",
            file=sys.stderr,
        )

    def demonstrations(
        self,
        problems: Sequence[Problem],
        settings: DirectDemonstrations | WorkedDemonstrations,
        seed: int,
    ) -> Iterator[StrategySettings]:
        """Reference answers at once, or each behind the solution that its row gives."""
        return shown_demonstrations(problems, settings, text_marks(self.params.text), seed)

    def solutions(self, problem: Problem) -> list[str]:
        """None: one answer can be written in endlessly many ways."""
        del problem
        return []

    def _import(self) -> list[Problem]:
        """Every row as a problem.

        Raises:
            BadInput: one cannot be; lists them all.
        """
        refusals = Refusals()
        intake = Intake(self.params, refusals)
        problems: list[Problem] = []
        lines: dict[str, int] = {}
        num_rows = 0
        for row in read_rows(self._path, self._columns):
            num_rows += 1
            question = self._question(row, refusals)
            if question is None:
                continue
            first = lines.setdefault(canonical(question.question), row.line)
            if first != row.line:
                refusals.add(
                    "with a question that an earlier row asks", f"line {row.line} (as line {first})"
                )
            problem = intake.problem(question, self._difficulty(row), row.line, f"line {row.line}")
            if problem:
                problems.append(problem)
        if not num_rows:
            raise BadInput(f"{self._path} has no rows; fetch it anew, or name another file")
        intake.verify(problems, [f"line {problem.seed}" for problem in problems], self._accepts)
        refusals.stop(
            f"{self._path}, {num_rows} rows",
            "mend them or leave them out, then set task.sha256 anew:",
        )
        return problems

    @property
    def _columns(self) -> list[str]:
        return [name for name in self.params.columns.model_dump().values() if name is not None]

    def _question(self, row: Row, refusals: Refusals) -> Question | None:
        """The question of a row; None where it cannot be read."""
        names = self.params.columns
        if row.fault:
            refusals.add(row.fault, f"line {row.line}")
            return None
        faults = {name: cell_fault(row.values[name]) for name in self._columns}
        unreadable = {name: fault for name, fault in faults.items() if fault}
        for name, fault in unreadable.items():
            refusals.add(f"{fault} in column {name}", f"line {row.line}")
        if unreadable:
            return None
        texts = {name: cell_text(row.values[name]) for name in self._columns}
        answer = texts[names.answer].strip()
        if self.params.verifier is None and answer.lstrip("+-").lower() in NO_VALUES:
            refusals.add("with a missing value for an answer", f"line {row.line} ({answer})")
            return None
        solution = texts[names.solution] if names.solution else None
        return Question(texts[names.question].strip(), answer, {}, solution)

    def _difficulty(self, row: Row) -> int:
        """The tier of a row."""
        if self.params.columns.level is None:
            return self.params.tiers[0].difficulty
        level = level_text(row.values[self.params.columns.level])
        self._levels.add(level)
        return self._difficulties.get(level, NO_TIER)

    def _too_few(self, tier: DatasetTier, split: str, num_found: int) -> str:
        share = "eight tenths of all questions" if split == "train" else "a tenth of all questions"
        return (
            f"params.yaml task.tiers, difficulty {tier.difficulty}: {self._path} has {num_found} "
            f"{split} problems ({share}, by their text alone); ask for at most so many, or name "
            f"more levels{self._levels_found()}"
        )

    def _levels_found(self) -> str:
        """The levels that the file has, to choose from."""
        names = sorted(self._levels)
        more = f" and {len(names) - MAX_LEVELS} more" if len(names) > MAX_LEVELS else ""
        return f" of those in the file: {', '.join(names[:MAX_LEVELS])}{more}" if names else ""

"""How often answers are judged wrongly: right ones refused, wrong ones paid.

Reads   tests/verifiers/cases/*.jsonl: reference, answer, the right verdict, and what was said
        `before`, at commit 66499a8 of `faults`, d8be43c of `variants`, 88a9322 of `trials`.
Writes  a table on stdout.
Method  `before` math-verify read alone, but for `trials` the grammar as it then was; `now` is the
        verifier of `dataset`. A wrong answer paid is a false positive, of all wrong ones; a right
        answer refused a false negative, of all right ones.
Claim   none of the cases is judged wrongly now.

Example: python -m benchmarks.grading_rates
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import measuring
from stages.contracts.verdict import Verdict
from stages.running.errors import command
from stages.verifiers.math_answer import MathVerifier

CASES = Path(__file__).parents[1] / "tests/verifiers/cases"
FILES = ("faults", "variants", "trials")
Case = Mapping[str, Any]


class Rates(NamedTuple):
    """Wrong answers paid of all wrong ones, right answers refused of all right ones."""

    num_paid: int
    num_wrong: int
    num_refused: int
    num_right: int

    @property
    def cells(self) -> list[str]:
        """The two rates as a table shows them."""
        return [f"{self.num_paid}/{self.num_wrong}", f"{self.num_refused}/{self.num_right}"]


def read_cases(name: str) -> list[Case]:
    """The cases of a file."""
    lines = (CASES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def rates(cases: Sequence[Case], said: Callable[[Case], str]) -> Rates:
    """The rates of what is said of some cases."""
    verdicts = [(case["expected"] == Verdict.CORRECT, said(case) == "correct") for case in cases]
    right = [is_paid for is_right, is_paid in verdicts if is_right]
    wrong = [is_paid for is_right, is_paid in verdicts if not is_right]
    return Rates(sum(wrong), len(wrong), len(right) - sum(right), len(right))


def now(case: Case) -> str:
    """What the verifier says of a case."""
    return MathVerifier().verify({"answer": case["reference"]}, case["answer"])


def before(case: Case) -> str:
    """What was said of a case, as it was written down then."""
    return str(case["before"])


def main() -> None:
    """Print the rates by file and kind."""
    lines = []
    for name in FILES:
        cases = read_cases(name)
        for kind in [*dict.fromkeys(case["kind"] for case in cases), "all"]:
            some = [case for case in cases if kind in ("all", case["kind"])]
            lines.append([name, kind, *rates(some, before).cells, *rates(some, now).cells])
    header = ("cases", "kind", "paid before", "refused before", "paid now", "refused now")
    print(measuring.table(header, lines))


if __name__ == "__main__":
    command(main)

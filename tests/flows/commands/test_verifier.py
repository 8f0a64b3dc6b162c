"""`knowhow audit verifier` asks the verifiers' own program, in the checkout it is given."""

import json
import sys
from pathlib import Path

from fixtures.checkouts import run
from stages.code import ROOT

COMMAND = [sys.executable, "-m", "flows.cli", "audit", "verifier"]


def test_a_finished_round_is_judged_again(finished: Path) -> None:
    command = [*COMMAND, "i1", "--json", "--num-perturbed", "5"]
    answer = json.loads(run(command, finished).stdout)
    assert answer["round"] == "i1"
    assert answer["num_answers"] == sum(answer["verdicts"].values()) > 0
    assert answer["again"]["num"] == answer["second"]["num"] == 0


def test_a_round_that_is_not_there_is_refused(tmp_path: Path) -> None:
    ended = run([*COMMAND, "nowhere", "--repo", str(tmp_path)], ROOT)
    assert ended.returncode != 0

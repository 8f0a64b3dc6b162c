"""How close a policy made anew came, in a terminal."""

import re
from pathlib import Path

from lineage.telling.rebuildtext import text
from tests.lineage.answers.test_comparison import WEIGHTS, compared, nudge
from tests.lineage.chain import printed


def test_people_read_a_verdict(audited: Path, copy: Path) -> None:
    nudge(copy, "s1", 1e-7)
    answer = compared(audited, copy)
    first, second, step, out, why = printed(text(answer), 200).splitlines()
    assert first.endswith(f"made anew in {answer.num_steps} steps: within tolerance")
    close = "close is within 1e-05 + 0.0001 of the number"
    assert second == f"differs from step update@s1 on; {close}"
    assert step.strip() == "update@s1"
    assert re.fullmatch(rf" +data/policies/s1/{WEIGHTS} close, by [\d.e-]+ at most", out)
    assert why.strip().startswith("why: nothing on record differs")

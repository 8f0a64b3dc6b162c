"""Objective `myopic`: each segment is credited with its own gain alone."""

from stages.pure.credit import Baseline, Scale
from stages.pure.objectives.arrays import Advantage, RoundArrays
from stages.pure.objectives.credited import credited


def myopic(
    arrays: RoundArrays, alpha: float, credit_baseline: Baseline, credit_scale: Scale
) -> Advantage:
    """A_j = alpha · A_out + S(Δ_j) on thinking segment j, A_out on the answer (`credited`).

    A greedy rule and the gradient of nothing: as a field over a policy's parameters it is not
    symmetric in its derivatives. A segment that only prepares a later one earns nothing for it.
    The trap: a first thought is worth .4 at once and leads no further, another is worth nothing and
    opens the way to .85. Ascent ends at the first, under `information` and `outcome` at the second
    (`tests/pure/test_enumerated.py`). It is of use where segments do not build on one another, for
    its credit has less noise than a sum.
    """
    return credited(arrays, alpha, arrays.segments.gain, credit_baseline, credit_scale)

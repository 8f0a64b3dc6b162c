"""What a policy drifted to in the end: rates of its last exam, as arrays over runs and problems.

A rate is a ratio of sums (repeats per attempt, say). Its interval is that of a mean whose value of
a run and a problem is R + (n − R d) / mean(d), n and d being what they add to the sums and R the
rate: the ratio to first order, as surveys estimate one (Cochran, Sampling Techniques, section 6.4).
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from stages.contracts.params.whole import Params
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.grades import GRADES

RATES = {
    "repeat_frac": ("num_repeats", "num_segments"),
    "false_positive_frac": ("num_false_positives", "num_judged_misses"),
    "false_negative_frac": ("num_false_negatives", "num_judged_hits"),
    "forced_frac": ("is_forced", "num_answers"),
    "thinking_tokens": ("used_tokens", "num_answers"),
}
"""Each rate by the two columns of grades whose sums it divides; `num_answers` counts rows."""

Counts = Mapping[str, Float[np.ndarray, "run temperature problem"]]


def read_counts(clones: Sequence[Path], settings: Params, problems: pd.Index) -> Counts:
    """What each problem adds to the sums, in each run's last exam, at its longest budget.

    `problems` are (split, difficulty, problem_id).
    """
    policy, longest = [*settings.exams][-1], max(settings.exam.budgets_tokens)
    place = ["temperature", *problems.names]
    runs = []
    for clone in clones:
        graded = read_table(clone / "data/exams" / policy / "grades.parquet", GRADES).to_pandas()
        exam_rows = graded[graded["budget_tokens"] == longest].assign(num_answers=1)
        sums = exam_rows.groupby(place)[_columns()].sum()
        by_temperature = [
            sums.loc[float(np.float32(temperature))].loc[problems].to_numpy(float)
            for temperature in settings.exam.temperatures
        ]
        runs.append(np.stack(by_temperature))
    return dict(zip(_columns(), np.moveaxis(np.stack(runs), -1, 0), strict=True))


def rates(
    counts: Counts, temperature: int, mask: np.ndarray
) -> dict[str, Float[np.ndarray, "run problem"]]:
    """The rates over some problems at one temperature, each as values whose mean it is.

    A rate that has nothing to divide by is left out.
    """
    by_name = {}
    for name, (above, below) in RATES.items():
        numerator, denominator = (counts[of][:, temperature, mask] for of in (above, below))
        if denominator.any():
            rate = numerator.sum() / denominator.sum()
            by_name[name] = rate + (numerator - rate * denominator) / denominator.mean()
    return by_name


def _columns() -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(RATES.values())))

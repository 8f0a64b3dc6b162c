"""Estimates of an exam with their intervals, as JSON has them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from stages.contracts.params.evaluate import Evaluate
from stages.pure.estimates import Statistic, bootstrap_of_means

Json = dict[str, float | None] | None
"""An estimate; None where it does not exist."""


class Intervals(NamedTuple):
    """Estimates as JSON, by the settings of params.yaml."""

    settings: Evaluate

    def mean(self, per_problem: Shaped[np.ndarray, " problem"]) -> Json:
        """Mean over problems."""
        return self.of([np.asarray(per_problem, float)[:, None]], lambda means: means[..., 0])

    def of(self, samples: Sequence[Shaped[np.ndarray, "_ _"]], statistic: Statistic) -> Json:
        """A statistic of the mean columns of independent samples of problems."""
        s = self.settings
        try:
            interval = bootstrap_of_means(
                samples, statistic, s.num_resamples, s.confidence, s.seed
            ).rounded()
        except ValueError:
            return None
        return interval if any(value is not None for value in interval.values()) else None

"""What params.yaml says of one recipe: `recipes.<recipe>`."""

from pydantic import model_validator

from stages.contracts.params.base import Section
from stages.contracts.params.recipes.probe import NATS_ESTIMATORS, Probe
from stages.contracts.params.recipes.rollout import Rollout
from stages.contracts.params.recipes.segments import Segments
from stages.contracts.params.recipes.update import Update


class Recipe(Section):
    """How one round samples, cuts, probes and learns."""

    rollout: Rollout
    segments: Segments
    probe: Probe
    update: Update

    @model_validator(mode="after")
    def _gain_is_estimated(self) -> "Recipe":
        if self.update.gain == "info_gain_nats" and self.probe.estimator not in NATS_ESTIMATORS:
            raise ValueError(
                f"update.gain info_gain_nats: estimator {self.probe.estimator} measures no nats; choose gain progress, "
                f"or an estimator from {list(NATS_ESTIMATORS)}"
            )
        return self

"""What params.yaml says of one recipe: `recipes.<recipe>`."""

from pydantic import model_validator

from stages.contracts.params.base import Section, variants
from stages.contracts.params.recipes.probe import Probe
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
        gain, probe = self.update.objective.gain_column, self.probe
        if gain == "info_gain_nats" and probe.nats_from is None:
            others = [name for name, other in variants(Probe).items() if other.nats_from]
            raise ValueError(
                f"update.objective.gain info_gain_nats: estimator {probe.estimator} measures no "
                f"nats; choose gain progress, or an estimator from {others}"
            )
        return self

"""What params.yaml says of an update's objective: `recipes.<recipe>.update.objective`.

Each has the keys it uses and no other. What it can do stands beside them, for whoever needs to
know: nobody asks an objective its name but the table of formulas (`stages.update.advantage`).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from stages.contracts.params.base import Fraction, NotNegative, Section

Gain = Literal["progress", "info_gain_nats"]
"""What of a segment is credited: a column of the gains table."""


class ObjectiveTraits(Section):
    """What an objective can do; each says where it differs."""

    reads_gains: ClassVar[bool] = False
    """Whether it learns from what segments gained, and so is charged for probes."""
    grades_attempts: ClassVar[bool] = False
    """Whether it needs segments with a verdict on their attempt."""
    holds_first_attempt: ClassVar[bool] = False
    """Whether the KL to the reference holds the first attempt alone, and so must be there."""
    imitates: ClassVar[bool] = False
    """Whether it weighs a likelihood: no ratio of policies, nothing clipped or corrected."""

    @property
    def gain_column(self) -> Gain | None:
        """The column of gains that it reads."""
        return None


class _ReadsGains(ObjectiveTraits):
    """An objective that learns from gains says from which."""

    reads_gains: ClassVar[bool] = True
    gain: Gain

    @property
    def gain_column(self) -> Gain:
        """The column of gains that it reads."""
        return self.gain


class _Scaled(ObjectiveTraits):
    """An objective that adds something to the outcome's advantage, on the group's scale."""

    credit_baseline: Literal["none", "group_mean"]
    """What is taken from it first."""
    normalize_credit_by_std: bool
    """Whether it is divided by the group's standard deviation."""


class _Credited(_Scaled):
    """An objective that credits segments with what follows from them."""

    alpha: NotNegative
    """Weight of the outcome's advantage beside the segments' credit."""
    credit_discount: Fraction
    """Of each later segment: 0 credits a segment with its own alone (myopic), 1 with all that
    follows as well (to go).
    """


class Outcome(ObjectiveTraits):
    """A = A_out: the final reward alone, as in GRPO."""

    name: Literal["outcome"]


class Process(_Credited):
    """A = alpha · A_out + ∑_{i ≥ j} d^{i−j} (S(attempt is right) + S(own verdict is true))_i."""

    grades_attempts: ClassVar[bool] = True
    name: Literal["process"]


class Information(_ReadsGains, _Credited):
    """A = alpha · A_out + S(G_j); on the answer alpha · A_out."""

    name: Literal["information"]


class Regret(_ReadsGains, _Credited):
    """As `information`, of γ^{t_j} g_j: γ is `token_discount`, t_j the tokens up to z_j's end."""

    name: Literal["regret"]
    token_discount: Fraction
    """Of a thinking token."""


class CorrectionStart(ObjectiveTraits):
    """A = A_out behind the first attempt, 0 on it: there the KL holds. SCoRe's stage I."""

    grades_attempts: ClassVar[bool] = True
    holds_first_attempt: ClassVar[bool] = True
    name: Literal["correction_start"]


class Correction(_Scaled):
    """A = A_out, behind the first attempt + alpha · S(r_last − r_first). SCoRe's stage II."""

    grades_attempts: ClassVar[bool] = True
    name: Literal["correction"]
    alpha: NotNegative
    """Weight of the bonus for mending an attempt."""


class Offline(_ReadsGains):
    """No advantage: a weight of 1 on rollouts to imitate, 0 on the others. MRT's STaR."""

    imitates: ClassVar[bool] = True
    name: Literal["offline"]
    keep_frac: Fraction
    """Share of the correct rollouts that are imitated, those of highest progress."""


Objective = Annotated[
    Outcome | Process | Information | Regret | CorrectionStart | Correction | Offline,
    Field(discriminator="name"),
]

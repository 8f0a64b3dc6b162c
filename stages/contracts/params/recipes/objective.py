"""What params.yaml says of an update's objective: `recipes.<recipe>.update.objective`.

Each has the keys it uses and no other. What it can do stands beside them, for whoever needs to
know: nobody asks an objective its name but the table of formulas (`stages.update.advantage`).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from stages.contracts.params.base import Fraction, NotNegative, Positive, Section

Gain = Literal["progress", "info_gain_nats"]
"""What of a segment is credited: a column of the gains table."""


class ObjectiveTraits(Section):
    """What an objective can do; each says where it differs."""

    credits_segments: ClassVar[bool] = False
    """Whether thinking segments have a credit each, which a control can take the place of."""
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
    """An objective that adds something to the outcome's advantage, on a scale."""

    credit_baseline: Literal["none", "group_mean"]
    """What is taken from it first."""
    credit_scale: Literal["none", "group", "round"]
    """Whose root mean square it is then divided by: nobody's, the group's, the whole round's."""


class _Credited(_Scaled):
    """An objective that credits thinking segments."""

    credits_segments: ClassVar[bool] = True
    alpha: NotNegative
    """Weight of the outcome's advantage beside the segments' credit; on the answer it is 1."""


class _ToGo(_Credited):
    """An objective that credits segments with what follows from them."""

    credit_discount: Annotated[float, Field(gt=0, le=1)]
    """Of each later segment."""


class UniformPrior(Section):
    """Each budget from 0 to the rollout's is as likely."""

    kind: Literal["uniform"]


class GeometricPrior(Section):
    """Budget b has the chance (1 − γ) γ^b: the discounted area under the J curve."""

    kind: Literal["geometric"]
    token_discount: Fraction
    """γ, of a thinking token."""


class StatedPrior(Section):
    """The budgets named, in proportion to their weights."""

    kind: Literal["stated"]
    weights: Annotated[dict[Annotated[int, Field(ge=0)], Positive], Field(min_length=1)]
    """Of each budget, by its tokens."""


Prior = Annotated[UniformPrior | GeometricPrior | StatedPrior, Field(discriminator="kind")]


class Outcome(ObjectiveTraits):
    """A = A_out: the final reward alone, as in GRPO."""

    name: Literal["outcome"]


class Process(_ToGo):
    """A_j = alpha · A_out + ∑_{i ≥ j} d^{i−j} (S(attempt is right) + S(own verdict is true))_i."""

    grades_attempts: ClassVar[bool] = True
    name: Literal["process"]


class MyopicProcess(_Credited):
    """A_j = alpha · A_out + (S(attempt is right) + S(own verdict is true))_j: a greedy rule."""

    grades_attempts: ClassVar[bool] = True
    name: Literal["myopic_process"]


class Information(_ReadsGains, _ToGo):
    """A_j = alpha · A_out + S(∑_{i ≥ j} d^{i−j} g_i)."""

    name: Literal["information"]


class Anytime(_ReadsGains, _Credited):
    """A_j = alpha · A_out + S(∑_{i ≥ j} P(budget ≥ t_i) g_i), t_i the tokens up to z_i's end."""

    name: Literal["anytime"]
    prior: Prior
    """Over the budgets that the stream may be cut at."""


class Myopic(_ReadsGains, _Credited):
    """A_j = alpha · A_out + S(g_j): a greedy rule."""

    name: Literal["myopic"]


class CorrectionStart(ObjectiveTraits):
    """A = A_out behind the first attempt, 0 on it: there the KL holds. SCoRe's stage I."""

    grades_attempts: ClassVar[bool] = True
    holds_first_attempt: ClassVar[bool] = True
    name: Literal["correction_start"]


class Correction(_Scaled):
    """A = A_out + A_first on the first attempt, A_out + alpha · S(r_last − r_first) behind it.

    SCoRe's stage II.
    """

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
    Outcome
    | Process
    | MyopicProcess
    | Information
    | Anytime
    | Myopic
    | CorrectionStart
    | Correction
    | Offline,
    Field(discriminator="name"),
]

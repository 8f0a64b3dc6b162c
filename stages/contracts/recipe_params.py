"""A recipe's part of params.yaml: how one round samples, cuts, probes and learns."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.contracts.task_params import Count, Fraction, Name, NotNegative, Positive, Section

MAX_LORA_RANK = 512  # that vLLM serves


class AdamW(Section):
    """One optimizer's settings; gradients are clipped to `max_grad_norm`."""

    learning_rate: Positive
    betas: tuple[Fraction, Fraction] = Field(strict=False)
    weight_decay: NotNegative
    max_grad_norm: Positive


class Rollout(Section):
    """Sampling of one round. Thinking is cut at `budget_tokens` and the answer forced, never scored unfinished."""

    num_problems: Count
    difficulties: Annotated[list[int], Field(min_length=1)]
    group_size: Annotated[int, Field(ge=2)]
    budget_tokens: Count
    answer_tokens: Count
    temperature: Positive
    shard_rollouts: Count


class MarkerSegments(Section):
    """Thinking is cut behind the task's own boundary words."""

    cut: Literal["marker"]


class FixedSegments(Section):
    """Thinking is cut every `num_tokens` tokens."""

    cut: Literal["fixed"]
    num_tokens: Count


class CutpointSegments(Section):
    """Thinking is cut before tokens the sampler gave less than `max_prob`, at most once in `min_tokens` tokens."""

    cut: Literal["cutpoint"]
    max_prob: Annotated[float, Field(gt=0, lt=1)]
    min_tokens: Count


Segments = Annotated[MarkerSegments | FixedSegments | CutpointSegments, Field(discriminator="cut")]


class SetLikelihood(Section):
    """Success at a boundary = probability of the whole set of correct answers, exactly."""

    estimator: Literal["set_likelihood"]
    micro_batch_tokens: Count


class AnswerLikelihood(Section):
    """Success at a boundary = probability of the one known answer: too low where others are right as well."""

    estimator: Literal["answer_likelihood"]
    micro_batch_tokens: Count


class AdaptiveProbes(Section):
    """As many answers again, up to `max_probes`, while the standard error of success is above `max_stderr`."""

    max_probes: Annotated[int, Field(ge=2)]
    max_stderr: Positive


class ForcedAnswer(Section):
    """Success at a boundary = mean reward of `num_probes` sampled answers: where nothing is paid in parts, a share.

    With `boundary_frac` a random share of the boundaries inside a rollout is probed, the first and the last always;
    success between two probed ones is interpolated.
    """

    estimator: Literal["forced_answer"]
    num_probes: Annotated[int, Field(ge=2)]
    answer_tokens: Count
    temperature: Positive
    adaptive: AdaptiveProbes | None = None
    boundary_frac: Fraction | None = None
    shard_rollouts: Count | None = None
    """Boundaries of so many rollouts are asked about in one go, by one engine; without it, of all."""

    @model_validator(mode="after")
    def _probes_rise(self) -> "ForcedAnswer":
        if self.adaptive and self.adaptive.max_probes < self.num_probes:
            raise ValueError(f"adaptive.max_probes {self.adaptive.max_probes} is below num_probes {self.num_probes}")
        return self


class AnswerEntropy(Section):
    """Success as in `forced_answer`; information = fall in entropy of the sampled answers, nats.

    With `gate_by_success` a fall counts only as far as the boundary behind it succeeds, else a policy is paid for being
    sure of a wrong answer.
    """

    estimator: Literal["answer_entropy"]
    num_probes: Annotated[int, Field(ge=2)]
    gate_by_success: bool
    answer_tokens: Count
    temperature: Positive
    shard_rollouts: Count | None = None
    """Boundaries of so many rollouts are asked about in one go, by one engine; without it, of all."""


class Critic(Section):
    """Success = a learned value of the prefix: a network on the policy's hidden state at the boundary.

    Trained on the round's own rewards by TD(`td_lambda`), in `num_folds` parts: no rollout is valued by a critic that
    has seen its problem.
    """

    estimator: Literal["critic"]
    num_folds: Annotated[int, Field(ge=2)]
    num_epochs: Count
    hidden_size: Count
    td_lambda: Fraction
    learning_rate: Positive
    micro_batch_tokens: Count


Probe = Annotated[
    SetLikelihood | AnswerLikelihood | ForcedAnswer | AnswerEntropy | Critic, Field(discriminator="estimator")
]
ESTIMATORS = ("set_likelihood", "answer_likelihood", "forced_answer", "answer_entropy", "critic")
NATS_ESTIMATORS = ("set_likelihood", "answer_likelihood", "answer_entropy")


class ImportanceCorrection(Section):
    """Of sampler to trainer mismatch: each token's weight is the ratio of the two before the first step.

    `truncate` holds it at `cap`, `mask` leaves out tokens where it is above `cap` or below 1 / `cap`.
    """

    kind: Literal["truncate", "mask"]
    cap: Annotated[float, Field(gt=1)]


class Lora(Section):
    """An adapter: every module named gets a change of low rank, and the weights themselves are held still."""

    rank: Annotated[int, Field(ge=1, le=MAX_LORA_RANK)]
    alpha: Count
    """The change is scaled by alpha / rank."""
    target_modules: Annotated[list[str], Field(min_length=1)]
    """Last parts of their names, as in q_proj."""


class Update(Section):
    """One round's policy update: an advantage for every token, and the loss that follows it.

    A key that may be absent switches something off by its absence; there are no other defaults.
    """

    objective: Literal["outcome", "process", "information", "regret", "self_correction", "offline"]
    alpha: NotNegative
    """Weight of the outcome's advantage beside the segments' credit; in `self_correction` of the bonus."""
    gain: Literal["progress", "info_gain_nats"]
    """What of a segment is credited: a column of the gains table."""
    credit: Literal["myopic", "to_go", "discounted"]
    credit_baseline: Literal["none", "group_mean"]
    normalize_credit_by_std: bool
    normalize_by_std: bool
    std_epsilon: Positive
    mask_truncated: bool
    loss: Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo"]
    clip_low: Fraction
    clip_high: Positive
    epochs: Count
    minibatches_per_epoch: Count
    micro_batch_tokens: Count
    optimizer: AdamW
    credit_discount: Fraction | None = None
    """Of the next segment, in `discounted`; of a thinking token, in the objective `regret`."""
    correction_stage: Literal[1, 2] | None = None
    """Of `self_correction`: 1 holds the first attempt near `reference`, 2 trains both attempts."""
    keep_frac: Fraction | None = None
    """Of `offline`: share of the correct rollouts that are imitated, those of highest progress."""
    length_penalty: Positive | None = None
    """Taken from the reward of a thinking stream as long as the budget; in proportion from a shorter one."""
    filter_groups: Literal["one_outcome"] | None = None
    """Leave out groups whose rewards are all equal."""
    kl_coefficient: Positive | None = None
    """Weight of KL(policy ‖ the round's `reference`), k3 estimate."""
    entropy_coefficient: Positive | None = None
    importance_correction: ImportanceCorrection | None = None
    row_tokens: Count | None = None
    """Lay rollouts end to end in rows of this many tokens, instead of padding each to the longest."""
    lora: Lora | None = None
    """Train an adapter; absent, all of the policy."""

    @model_validator(mode="after")
    def _keys_have_a_use(self) -> "Update":
        discounts = self.objective == "regret" or self.credit == "discounted"
        for key, is_used in (
            ("credit_discount", discounts),
            ("correction_stage", self.objective == "self_correction"),
            ("keep_frac", self.objective == "offline"),
        ):
            if is_used != (getattr(self, key) is not None):
                state = "needs" if is_used else "has no use for"
                raise ValueError(f"objective {self.objective} with credit {self.credit} {state} {key}")
        if self.objective == "regret" and self.credit == "discounted":
            raise ValueError("objective regret discounts tokens, so credit cannot discount segments: to_go or myopic")
        if self.correction_stage == 1 and self.kl_coefficient is None:
            raise ValueError("correction_stage 1 holds the first attempt near the reference: it needs kl_coefficient")
        if self.objective == "offline" and self.importance_correction is not None:
            raise ValueError(
                "objective offline is a likelihood without a ratio: it has no use for importance_correction"
            )
        return self


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


class Round(Section):
    """One pass of the loop: the policy it starts from, the recipe, who judges, and the seed of its draws.

    `reference` is the policy that `kl_coefficient` holds the new one near; `judge` gives the reward: `exact` or a judge
    of `judges`.
    """

    parent: Name
    reference: Name
    recipe: Name
    judge: Name
    seed: Annotated[int, Field(ge=0, lt=2**31)]

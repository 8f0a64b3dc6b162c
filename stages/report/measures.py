"""What a round measured, and which of its numbers the page draws."""

from typing import NamedTuple


class Point(NamedTuple):
    """A mean over problems at one boundary or segment, with its interval.

    `num_rollouts` got that far.
    """

    segment_index: int
    mean: float
    low: float
    high: float
    num_rollouts: int


class Course(NamedTuple):
    """Numbers of one round by name, tokens by what became of them, and J by boundary."""

    measures: dict[str, float | None]
    tokens: dict[str, int]
    num_completion_tokens: int
    success: list[Point]
    progress: list[Point]

    @property
    def num_accounted_tokens(self) -> int:
        """Equals `num_completion_tokens` unless tokens were lost."""
        return sum(self.tokens.values())


class Measure(NamedTuple):
    """A number of every round: the panel it stands in; a second name is drawn dashed."""

    names: tuple[str, ...]
    title: str
    y_label: str
    is_fraction: bool


MEASURES = (
    Measure(("reward",), "Reward of the rollouts", "mean reward", True),
    Measure(("thinking_tokens",), "Thinking length", "mean per rollout, tokens", False),
    Measure(
        ("first_entropy_nats", "last_entropy_nats"),
        "Entropy: first step solid, last dashed",
        "mean per token, nats",
        False,
    ),
    Measure(("one_outcome_frac",), "Groups with one outcome", "share of groups", True),
    Measure(("forced_frac",), "Made to answer at the budget", "share of rollouts", True),
    Measure(("unended_frac",), "Answers that never ended", "share of rollouts", True),
    Measure(("repeat_frac",), "Attempts repeated word for word", "share of segments", True),
    Measure(
        ("false_positive_frac", "false_negative_frac"),
        "False self-verdicts: misses called right solid, hits called wrong dashed",
        "share of misses, of hits",
        True,
    ),
    Measure(("judge_agreement_frac",), "Judge and verifier agree", "share of rollouts", True),
    Measure(("kl_nats",), "KL from the sampling policy", "mean per token, nats", False),
    Measure(
        ("max_logprob_difference_nats",),
        "Largest sampler-trainer difference",
        "log-probability, nats",
        False,
    ),
    Measure(("noise_frac",), "Noise in progress (0 where exact)", "share of its variance", True),
)

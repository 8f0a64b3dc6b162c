"""What each objective adds to the outcome's advantage, segment by segment.

Arrays as in `stages.pure.credit`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from stages.pure.credit import (
    PerRollout,
    PerSegment,
    RolloutOfSegment,
    spread,
    to_come,
    token_discounted,
)

IsSegment = Bool[np.ndarray, " segment"]
Scale = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Makes values comparable within their groups: `stages.pure.credit.group_scaled` with all but its
arrays given.
"""
RIGHT_REWARD = 1.0


class Parts(NamedTuple):
    """An advantage in its two parts: A = outcome + credit."""

    outcome: PerSegment
    credit: PerSegment


class TokenParts(NamedTuple):
    """For each rollout, of each completion token: the advantage's parts, is it trained, may a KL
    term hold it.
    """

    outcome: list[np.ndarray]
    credit: list[np.ndarray]
    is_target: list[np.ndarray]
    is_anchored: list[np.ndarray]


class Segments(NamedTuple):
    """What is known of each segment. NaN: unknown, or there is none.

    `attempt_grade` is 1 where the attempt inside is correct and 0 where not; `verdict_grade` is 1
    where the policy's own verdict on it agrees with that. `is_attempt` holds where there is an
    attempt at all, graded or not.
    """

    rollout: RolloutOfSegment
    group: Int[np.ndarray, " segment"]
    start_tokens: Int[np.ndarray, " segment"]
    end_tokens: Int[np.ndarray, " segment"]
    gain: PerSegment
    is_attempt: IsSegment
    attempt_grade: PerSegment
    verdict_grade: PerSegment


def outcome_only(outcome: PerRollout, segments: Segments, alpha: float) -> Parts:
    """A = alpha · A_out on every segment: GRPO, the sparse objective that rewards the test episode
    alone.
    """
    return Parts(alpha * outcome[segments.rollout], np.zeros(len(segments.rollout)))


def information(
    outcome: PerRollout, segments: Segments, alpha: float, discount: float, scale: Scale
) -> Parts:
    """A_j = alpha · A_out + scaled(∑_{i ≥ j} discount^{i−j} Δ_i) on thinking segment j, alpha ·
    A_out on the answer.

    Obj-2 of the meta-RL reading: segments are training episodes and earn what they tell, the answer
    is the test episode and earns the outcome alone. The scale's statistics are over all thinking
    segments of the group. The group mean is therefore a charge on each segment, not a baseline that
    cancels in expectation: the answer does not pay it, so a segment must gain more than its group's
    average to be worth more than answering. A segment without a gain has no credit. Credit 0
    throughout is `outcome_only`.
    """
    credit = scale(to_come(segments.gain, segments.rollout, discount), segments.group)
    return Parts(alpha * outcome[segments.rollout], np.nan_to_num(credit, nan=0.0))


def regret(
    outcome: PerRollout,
    segments: Segments,
    alpha: float,
    token_discount: float,
    discount: float,
    scale: Scale,
) -> Parts:
    """`information` of γ^{t_j} Δ_j: climbs the discounted area under the J curve
    (`token_discounted`), γ for a token.

    With discount 1 (to go), no scale and alpha 0 its gradient is the area's own.
    """
    discounted = token_discounted(segments.gain, segments.end_tokens, token_discount)
    return information(outcome, segments._replace(gain=discounted), alpha, discount, scale)


def process(
    outcome: PerRollout, segments: Segments, alpha: float, discount: float, scale: Scale
) -> Parts:
    """A_j = alpha · A_out + ∑_{i ≥ j} discount^{i−j} g̃_i, g̃ the scaled grades of segment i;
    discount 1 is Obj-1.

    Two grades: the attempt is correct; the policy's own verdict agrees with that. Each kind is
    scaled on its own within the group before it is summed, as GRPO's process supervision does with
    its one kind (arXiv 2402.03300, section 4.1.3): kinds of different means, such as rare hits and
    mostly true verdicts, would else pay or charge a segment for having a grade of that kind at all.
    A segment without a grade contributes nothing, and gets the sum over those behind it.
    """
    grades = np.zeros(len(segments.rollout))
    for kind in (segments.attempt_grade, segments.verdict_grade):
        grades += np.nan_to_num(scale(kind, segments.group), nan=0.0)
    return Parts(alpha * outcome[segments.rollout], to_come(grades, segments.rollout, discount))


def within_first_attempt(is_attempt: IsSegment, rollout_of_segment: RolloutOfSegment) -> IsSegment:
    """Whether a segment stands no later than its rollout's first attempt; what follows is the
    revision.

    All of a rollout without an attempt: its answer is the first attempt, and nothing revises it.
    """
    before = np.cumsum(is_attempt) - is_attempt
    _, first, rollouts = np.unique(rollout_of_segment, return_index=True, return_inverse=True)
    return before == before[first][rollouts]


def improvement(rewards: PerRollout, segments: Segments) -> PerRollout:
    """r_last − r_first: the answer's reward less the first attempt's grade; NaN where either is
    unknown.
    """
    is_first = segments.is_attempt & within_first_attempt(segments.is_attempt, segments.rollout)
    first_grades = np.full(len(rewards), np.nan)
    first_grades[segments.rollout[is_first]] = segments.attempt_grade[is_first]
    return rewards - first_grades


def correction_start(outcome: PerRollout, segments: Segments) -> Parts:
    """Stage I of SCoRe (arXiv 2409.12917): A_out on the revision, nothing on the first attempt.

    The first attempt's tokens are held near the reference by the loss instead, so that the policy
    learns to revise what it would have said, and not to say something else first.
    """
    is_first = within_first_attempt(segments.is_attempt, segments.rollout)
    return Parts(np.where(is_first, 0.0, outcome[segments.rollout]), np.zeros(len(is_first)))


def correction(
    outcome: PerRollout,
    rewards: PerRollout,
    groups: Int[np.ndarray, " rollout"],
    segments: Segments,
    alpha: float,
    scale: Scale,
) -> Parts:
    """Stage II of SCoRe (arXiv 2409.12917): A_out on all, alpha · scaled(r_last − r_first) on the
    revision.

    Breaking what was right costs as much as mending what was wrong earns; staying right earns
    nothing more. The paper takes alpha well above 1. Where the improvement is unknown
    (`improvement`) there is no bonus.
    """
    bonus = np.nan_to_num(scale(improvement(rewards, segments), groups), nan=0.0)
    is_first = within_first_attempt(segments.is_attempt, segments.rollout)
    return Parts(
        outcome[segments.rollout], np.where(is_first, 0.0, alpha * bonus[segments.rollout])
    )


def progress_per_token(
    segments: Segments, thinking_tokens: Int[np.ndarray, " rollout"]
) -> Float[np.ndarray, " rollout"]:
    """∑_j Δ_j / thinking tokens of each rollout: unknown gains count 0, and a rollout that did not
    think has 0.

    The total alone would not do: it telescopes to J_k − J_0, and J_0 is the problem's, so among the
    correct rollouts of a problem it would rank by the last boundary alone, whatever way led there.
    """
    totals = np.bincount(
        segments.rollout,
        weights=np.nan_to_num(segments.gain, nan=0.0),
        minlength=len(thinking_tokens),
    )
    return np.divide(totals, thinking_tokens, out=np.zeros(len(totals)), where=thinking_tokens > 0)


def imitated(
    rewards: PerRollout,
    groups: Int[np.ndarray, " rollout"],
    progress: Float[np.ndarray, " rollout"],
    keep_frac: float,
) -> Bool[np.ndarray, " rollout"]:
    """The correct rollouts (reward 1) to fine-tune on: of each group the `keep_frac` of highest
    progress.

    MRT's offline variant, STaR (arXiv 2503.07572): rollouts that make most progress and end
    correct. Ranked within the group, for J_0 differs between problems: a ranking over all would
    drop what the policy already knows. ⌈keep_frac · correct ones⌉ of a group, so a problem solved
    once is kept, and none where `keep_frac` is 0. Of equal progress the earlier rollout goes first.
    Neither a NaN reward nor partial credit is correct.
    """
    is_correct = rewards >= RIGHT_REWARD
    is_kept = np.zeros(len(rewards), dtype=bool)
    for group in np.unique(groups[is_correct]):
        members = np.flatnonzero(is_correct & (groups == group))
        ranked = members[np.argsort(-progress[members], kind="stable")]
        is_kept[ranked[: int(np.ceil(keep_frac * len(ranked)))]] = True
    return is_kept


def imitation(
    is_kept: Bool[np.ndarray, " rollout"], rewards: PerRollout, segments: Segments
) -> Parts:
    """Weight 1 on every segment of a kept rollout, 0 on the others; NaN where the verifier failed."""
    weights = np.where(np.isnan(rewards), np.nan, is_kept.astype(np.float64))
    return Parts(weights[segments.rollout], np.zeros(len(segments.rollout)))


def on_tokens(
    parts: Parts,
    is_anchored: IsSegment,
    segments: Segments,
    is_sampled: Sequence[Bool[np.ndarray, " token"]],
) -> TokenParts:
    """Lay the values of segments on their tokens, rollout by rollout.

    A token that was not sampled is no target, and so held by no KL term.
    """
    lengths = [len(tokens) for tokens in is_sampled]
    outcome, credit, anchored = (
        spread(values, segments.rollout, segments.start_tokens, segments.end_tokens, lengths)
        for values in (parts.outcome, parts.credit, is_anchored)
    )
    return TokenParts(
        outcome,
        credit,
        list(is_sampled),
        [a & t for a, t in zip(anchored, is_sampled, strict=True)],
    )

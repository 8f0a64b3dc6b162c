"""Are the log-probabilities of a round those of the policy that is said to have sampled it?

The trainer's own, before the first step, are held against them on some rollouts. They differ by
rounding where sampler and trainer compute in one precision, by more where they do not, and by far
more where the rollouts are another policy's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from stages.contracts.params.recipes.update import MismatchLimits
from stages.contracts.params.round import Round
from stages.engines.training.example import Example
from stages.engines.training.policy_loss import PolicyLoss
from stages.pure.accounting import Mismatch, Status, mismatch
from stages.pure.seeds import derive_seed
from stages.running.errors import REMEDY, BadInput

MAX_ROLLOUTS = 256
"""As many as are looked at, drawn from the round's seed."""


def drawn_rows(num_examples: int, seed: int) -> list[int]:
    """Which examples are looked at, in their order."""
    rng = np.random.default_rng(derive_seed("mismatch", seed))
    size = min(num_examples, MAX_ROLLOUTS)
    return sorted(rng.choice(num_examples, size, replace=False).tolist())


def need_match(
    loss: PolicyLoss,
    model: PreTrainedModel,
    examples: Sequence[Example],
    ledger: Sequence[Mapping[str, Any]],
    entry: Round,
    limits: MismatchLimits | None,
) -> Mismatch:
    """Measure how far sampler and trainer are apart, and refuse a round beyond the limits.

    Args:
        loss: computes the trainer's log-probabilities.
        model: the policy that the round starts from.
        examples: what is to be trained on.
        ledger: a row for each rollout, those trained in the order of the examples.
        entry: the round.
        limits: of its recipe; without any nothing is refused.

    Raises:
        BadInput: a figure is beyond its limit; names the rollout and the token that differ most.
    """
    rows = drawn_rows(len(examples), entry.seed)
    looked_at = [examples[row] for row in rows]
    differences = loss.differences(model, looked_at)
    found = mismatch(differences)
    for name, figure, is_within in [] if limits is None else _held(found, limits):
        if not is_within:
            rollout, place = found.largest
            names = [row["rollout_id"] for row in ledger if row["status"] == Status.TRAINED]
            example = looked_at[rollout]
            token = int(np.flatnonzero(example.is_target)[place])
            sampler = float(example.sampler_logprobs[token])
            key = f"recipes.{entry.recipe}.update.mismatch_limits.{name}"
            raise BadInput(
                f"the policy gives the tokens of {len(rows)} rollouts other log-probabilities than "
                f"their table says: {name.removeprefix('min_')} is {figure:.3g} over "
                f"{found.num_tokens} tokens, and {key} {getattr(limits, name):.3g}; most at "
                f"completion token {token} of rollout {names[rows[rollout]]}: {sampler:.4g} nats "
                f"there, {sampler + float(differences[rollout][place]):.4g} by the policy. Where "
                f"the rollouts are another policy's: {REMEDY}; where sampler and trainer differ in "
                "precision, set the limit as docs/scaling.md says"
            )
    return found


def _held(found: Mismatch, limits: MismatchLimits) -> list[tuple[str, float, bool]]:
    """Each limit, what was measured, and whether it keeps within."""
    return [
        ("mean_nats", found.mean_nats, found.mean_nats <= limits.mean_nats),
        ("max_nats", found.max_nats, found.max_nats <= limits.max_nats),
        ("min_ess_frac", found.ess_frac, found.ess_frac >= limits.min_ess_frac),
    ]

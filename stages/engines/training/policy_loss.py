"""A recipe's loss over real rollouts: laid out in rows, run by the policy, weighed and summed.

What must not move while the policy does is computed first, by `prepare`. `minibatch` then yields
one share of the loss for each micro-batch; the shares add up to the minibatch's loss however it is
cut, padded, packed or ordered.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from stages.contracts.params.recipes.update import Update
from stages.engines.computing import Precision, at_least_float32, autocast
from stages.engines.training.example import Example, IsToken, PerTokenOfEach
from stages.engines.training.placed import PerPosition, Rows, place, places
from stages.engines.training.ranks import gathered, max_over_ranks, own_work, sum_over_ranks
from stages.engines.varlen import packed_inputs
from stages.pure.losses import (
    aggregation,
    entropy,
    importance,
    k3,
    masked_difference,
    reference_kl,
    surrogate,
    token_logprobs,
)
from stages.pure.packing import lay_out, pad

WATCHED = ("clip_frac", "mean_ratio", "kl_nats", "entropy_nats", "mean_logprob_difference_nats")


class Terms(NamedTuple):
    """What a micro-batch has at each token; 0 where a token is no target."""

    objective: PerPosition
    ratio: PerPosition
    is_clipped: Bool[Tensor, "row position"]
    drift_nats: PerPosition
    reference_kl_nats: PerPosition
    entropy_nats: PerPosition


class PolicyLoss:
    """The loss of one recipe's update.

    `reference` is there if and only if `settings.kl_coefficient` is. `temperature` is the one the
    rollouts were sampled at, `budget_tokens` the constant length of `dr_grpo`, `precision` that of
    the models' passes.
    """

    def __init__(
        self,
        settings: Update,
        temperature: float,
        budget_tokens: int,
        precision: Precision,
        reference: PreTrainedModel | None,
    ) -> None:
        assert (reference is None) == (settings.kl_coefficient is None)
        self.settings = settings
        self.temperature = temperature
        self.budget_tokens = budget_tokens
        self._precision = precision
        self._reference = reference

    def prepare(self, model: PreTrainedModel, examples: Sequence[Example]) -> list[Example]:
        """The examples with what the loss compares with, as far as it does.

        `model` must still be the policy that the round starts from. A resumed run calls this before
        it loads its checkpoint: the values then come out as they did the first time.
        """
        is_corrected = self.settings.importance_correction is not None
        proximal = self._logprobs(model if is_corrected else None, examples)
        reference = self._logprobs(self._reference, examples)
        return [
            replace(example, proximal_logprobs=near, reference_logprobs=far)
            for example, near, far in zip(examples, proximal, reference, strict=True)
        ]

    def differences(
        self, model: PreTrainedModel, examples: Sequence[Example]
    ) -> list[Float[np.ndarray, " _"]]:
        """Trainer's less sampler's log-probability of each example's target tokens, nats."""
        of_trainer = self._logprobs(model, examples)
        differences = []
        for example, logprobs in zip(examples, of_trainer, strict=True):
            assert logprobs is not None, "there is a model"
            apart = logprobs.astype(np.float64) - example.sampler_logprobs
            differences.append(apart[example.is_target])
        return differences

    def minibatch(
        self,
        model: PreTrainedModel,
        examples: Sequence[Example],
        watched: dict[str, float],
        on_tokens: Callable[[int], None],
        clipped: dict[int, IsToken] | None = None,
    ) -> Iterator[Float[Tensor, ""]]:
        """Each micro-batch's share of the minibatch loss, of examples that were prepared.

        It is to be back-propagated before the next is asked for. `on_tokens` is called with the
        number of tokens that have gone through the model. Behind the last share,
        `watched` has what to look at beside the loss: `clip_frac`, `mean_ratio` (the loss's own
        ratio), `kl_nats` (of policy from sampler), `entropy_nats`, `mean_logprob_difference_nats`
        and `max_logprob_difference_nats` (from the sampler, absolute); with a reference
        `reference_kl_nats` over the anchored tokens; with a correction `importance_mean`,
        `importance_ess_frac`, `importance_clipped_frac`, raw. `clipped` gets, of each of this
        rank's examples, the completion tokens that were clipped.
        """
        counted = np.array([example.is_target.sum() for example in examples])
        how = aggregation(self.settings.average, counted, self.budget_tokens)
        num_targets = max(1, int(counted.sum()))
        corrections = self._corrections(examples, watched)
        sums: Counter[str] = Counter()
        difference = 0.0
        for rows, counts in self._own_layout(examples):
            terms, weights = self._terms(model, examples, rows, how.weights, corrections)
            if counts:
                sums.update(_sums(terms))
                difference = max(difference, float(terms.drift_nats.abs().max()))
                if clipped is not None:
                    for item, row, where in places(examples, rows):
                        clipped[item] = terms.is_clipped[row, where].cpu().numpy()
                on_tokens(sum(examples[item].num_tokens for items in rows for item in items))
            loss = self._loss(terms, weights, how.denominator, num_targets)
            yield loss if counts else 0.0 * loss
            del terms, loss  # they hold a graph that the next forward pass needs the memory of
        totals = sum_over_ranks({name: sums[name] for name in (*WATCHED, "reference_kl_nats")})
        watched.update({name: totals[name] / num_targets for name in WATCHED})
        watched["max_logprob_difference_nats"] = max_over_ranks(difference)
        if self._reference is not None:
            num_anchored = sum(int(example.is_held.sum()) for example in examples)
            watched["reference_kl_nats"] = totals["reference_kl_nats"] / max(1, num_anchored)

    def _own_layout(self, examples: Sequence[Example]) -> list[tuple[list[list[int]], bool]]:
        """This rank's micro-batches, and whether each counts (`own_work`)."""
        lengths = [example.num_tokens for example in examples]
        laid = lay_out(lengths, self.settings.micro_batch_tokens, self.settings.row_tokens)
        sizes = [
            len(rows) * max(sum(lengths[item] for item in items) for items in rows) for rows in laid
        ]
        return [(laid[piece], counts) for piece, counts in own_work(sizes)]

    def _logprobs(
        self, model: PreTrainedModel | None, examples: Sequence[Example]
    ) -> Sequence[Float[np.ndarray, " _"] | None]:
        """A model's log-probability of every completion token, nats; None without a model."""
        if model is None:
            return [None] * len(examples)
        logprobs_of_item: dict[int, np.ndarray] = {}
        with torch.no_grad():
            for rows, _ in self._own_layout(examples):
                logits, targets = self._forward(model, examples, rows)
                logprobs = token_logprobs(logits, targets, self.temperature).cpu().numpy()
                for item, row, where in places(examples, rows):
                    logprobs_of_item[item] = logprobs[row, where]
        everywhere = gathered(logprobs_of_item)
        return [everywhere[item] for item in range(len(examples))]

    def _forward(
        self, model: PreTrainedModel, examples: Sequence[Example], rows: Rows
    ) -> tuple[Float[Tensor, "row position vocabulary"], Int[Tensor, "row position"]]:
        """Logits of a micro-batch, and the token that follows each position."""
        laid = []
        for items in rows:
            laid.append(np.concatenate([examples[item].tokens for item in items]).tolist())
        tokens = pad(laid, 0).to(model.device)
        if tokens.shape[1] == 1:  # texts of one token: nothing is predicted, and a model needs one
            tokens = torch.nn.functional.pad(tokens, (0, 1))
        inputs: dict[str, Any] = {}
        if self.settings.row_tokens is not None:
            lengths = [[examples[item].num_tokens for item in items] for items in rows]
            inputs = packed_inputs(model, lengths, tokens.shape[1] - 1)
        with autocast(model, self._precision):
            logits = model(input_ids=tokens[:, :-1], **inputs, use_cache=False).logits
        return at_least_float32(logits), tokens[:, 1:]

    def _corrections(
        self, examples: Sequence[Example], watched: dict[str, float]
    ) -> list[Float[np.ndarray, " _"]]:
        """Importance weight of every completion token; 1 where none is to be corrected."""
        weights = [np.ones(len(example.completion_tokens)) for example in examples]
        correction = self.settings.importance_correction
        if correction is None:
            return weights
        log_ratios = [
            (example.behaviour_logprobs - example.sampler_logprobs)[example.is_target]
            for example in examples
        ]
        correction_weights = importance(np.concatenate(log_ratios), correction.kind, correction.cap)
        ends = np.cumsum([len(values) for values in log_ratios])
        bounded = np.split(correction_weights.weights, ends[:-1])
        for weight, example, of_targets in zip(weights, examples, bounded, strict=True):
            weight[example.is_target] = of_targets
        watched["importance_mean"] = correction_weights.mean
        watched["importance_ess_frac"] = correction_weights.ess_frac
        watched["importance_clipped_frac"] = correction_weights.clipped_frac
        return weights

    def _terms(
        self,
        model: PreTrainedModel,
        examples: Sequence[Example],
        rows: Rows,
        sequence_weights: Float[np.ndarray, " sequence"],
        corrections: PerTokenOfEach,
    ) -> tuple[Terms, PerPosition]:
        """Run a micro-batch; its terms at each token, and the token's weight."""
        settings = self.settings
        logits, targets = self._forward(model, examples, rows)
        placed = place(examples, rows, sequence_weights, corrections, logits)
        trainer_logprobs = token_logprobs(logits, targets, self.temperature)
        surrogate_terms = surrogate(
            settings.surrogate,
            trainer_logprobs,
            placed.behaviour_logprobs,
            placed.advantages,
            placed.is_target,
            placed.sequence,
            settings.clip_low,
            settings.clip_high,
        )
        with torch.set_grad_enabled(settings.entropy_coefficient is not None):
            spread = entropy(logits / self.temperature) * placed.is_target
        terms = Terms(
            *surrogate_terms,
            drift_nats=masked_difference(
                trainer_logprobs.detach(), placed.sampler_logprobs, placed.is_target
            ),
            reference_kl_nats=reference_kl(
                trainer_logprobs,
                placed.behaviour_logprobs,
                placed.reference_logprobs,
                placed.is_anchored,
            ),
            entropy_nats=spread,
        )
        return terms, placed.weights

    def _loss(
        self, terms: Terms, weights: PerPosition, denominator: int, num_targets: int
    ) -> Float[Tensor, ""]:
        """A micro-batch's share.

        The KL is weighed as the objective is, entropy is a mean over tokens (as in TRL).
        """
        loss = -(terms.objective * weights).sum()
        if self.settings.kl_coefficient is not None:
            loss = loss + self.settings.kl_coefficient * (terms.reference_kl_nats * weights).sum()
        loss = loss / denominator
        if self.settings.entropy_coefficient is not None:
            loss = loss - self.settings.entropy_coefficient * terms.entropy_nats.sum() / num_targets
        return loss


def _sums(terms: Terms) -> dict[str, float]:
    """What is watched, summed over a micro-batch's target tokens."""
    sums = {
        "clip_frac": terms.is_clipped,
        "mean_ratio": terms.ratio,
        "kl_nats": k3(terms.drift_nats),
        "entropy_nats": terms.entropy_nats,
        "mean_logprob_difference_nats": terms.drift_nats.abs(),
        "reference_kl_nats": terms.reference_kl_nats,
    }
    return {name: float(values.detach().sum()) for name, values in sums.items()}

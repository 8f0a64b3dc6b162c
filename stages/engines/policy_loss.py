"""A recipe's loss over real rollouts: lay them out in rows, run the policy, weigh and sum the
tokens.

What must not move while the policy does is computed first, by `prepare`. `minibatch` then yields
one share of the loss for each micro-batch; the shares add up to the minibatch's loss however it is
cut, padded, packed or ordered.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from stages.contracts.params.recipes.update import Update
from stages.engines.computing import Precision, passing, summable
from stages.engines.ranks import largest, merged, shares, summed
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
Rows = Sequence[Sequence[int]]
"""The rollouts in each row of a micro-batch, by their index in the minibatch."""


class Example(NamedTuple):
    """One rollout to train on: its tokens, and what is known of each completion token.

    `advantages` are the likelihood's weights where it is imitated. `is_anchored` is where the
    KL to the reference applies; a token that is no target is never anchored.
    """

    prompt_tokens: list[int]
    completion_tokens: list[int]
    sampler_logprobs: np.ndarray
    advantages: np.ndarray
    is_target: np.ndarray
    is_anchored: np.ndarray

    @property
    def num_tokens(self) -> int:
        """Prompt and completion."""
        return len(self.prompt_tokens) + len(self.completion_tokens)


class Prepared(NamedTuple):
    """An example, and log-probabilities of its completion tokens that stay as they are, where the
    loss needs them.

    `proximal_logprobs` are of the policy that the round starts from, as the trainer computes them.
    """

    example: Example
    proximal_logprobs: np.ndarray | None
    reference_logprobs: np.ndarray | None


class Placed(NamedTuple):
    """Per-token values of a micro-batch, [row, position], each where the model predicts its token."""

    sampler_logprobs: Tensor
    behaviour_logprobs: Tensor
    reference_logprobs: Tensor
    advantages: Tensor
    weights: Tensor
    is_target: Tensor
    is_anchored: Tensor
    sequence: Tensor


class Terms(NamedTuple):
    """What a micro-batch has at each token, [row, position]; 0 where a token is no target."""

    objective: Tensor
    ratio: Tensor
    is_clipped: Tensor
    drift_nats: Tensor
    reference_kl_nats: Tensor
    entropy_nats: Tensor


class PolicyLoss:
    """The loss of one recipe's update; `reference` is there if and only if
    `settings.kl_coefficient` is.

    `temperature` is the one the rollouts were sampled at, `budget_tokens` the constant length of
    `dr_grpo`, `precision` that of the models' passes.
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

    def prepare(self, model: PreTrainedModel, examples: Sequence[Example]) -> list[Prepared]:
        """Fix what the loss compares with; `model` must still be the policy that the round starts
        from.

        A resumed run calls this before it loads its checkpoint: the values then come out as they
        did the first time.
        """
        proximal = self._logprobs(model if self.settings.importance_correction else None, examples)
        reference = self._logprobs(self._reference, examples)
        return [Prepared(*of_one) for of_one in zip(examples, proximal, reference, strict=True)]

    def minibatch(
        self,
        model: PreTrainedModel,
        batch: Sequence[Prepared],
        watched: dict[str, float],
        on_tokens: Callable[[int], None],
    ) -> Iterator[Tensor]:
        """Each micro-batch's share of the minibatch loss, to be back-propagated before the next is
        asked for.

        `on_tokens` is told how many tokens have gone through the model. Behind the last share,
        `watched` has what to look at beside the loss: `clip_frac`, `mean_ratio` (the loss's own
        ratio), `kl_nats` (of policy from sampler), `entropy_nats`, `mean_logprob_difference_nats`
        and `max_logprob_difference_nats` (from the sampler, absolute); with a reference
        `reference_kl_nats` over the anchored tokens; with a correction `importance_mean`,
        `importance_ess_frac`, `importance_clipped_frac`, raw.
        """
        settings, examples = self.settings, [prepared.example for prepared in batch]
        how = aggregation(
            settings.loss, np.array([e.is_target.sum() for e in examples]), self.budget_tokens
        )
        num_targets = max(1, sum(int(example.is_target.sum()) for example in examples))
        values = self._token_values(batch, how.weights, watched)
        sums: Counter[str] = Counter()
        difference = 0.0
        for rows, counts in self._own_layout(examples):
            terms, weights = self._terms(model, examples, rows, values)
            if counts:
                sums.update(_sums(terms))
                difference = max(difference, float(terms.drift_nats.abs().max()))
                on_tokens(sum(examples[item].num_tokens for items in rows for item in items))
            loss = self._loss(terms, weights, how.denominator, num_targets)
            yield loss if counts else 0.0 * loss
            del terms, loss  # they hold a graph that the next forward pass needs the memory of
        found = summed({name: sums[name] for name in (*WATCHED, "reference_kl_nats")})
        watched.update({name: found[name] / num_targets for name in WATCHED})
        watched["max_logprob_difference_nats"] = largest(difference)
        if self._reference is not None:
            num_anchored = sum(
                int((example.is_anchored & example.is_target).sum()) for example in examples
            )
            watched["reference_kl_nats"] = found["reference_kl_nats"] / max(1, num_anchored)

    def _own_layout(self, examples: Sequence[Example]) -> list[tuple[list[list[int]], bool]]:
        """This rank's micro-batches, and whether each counts (`shares`)."""
        lengths = [example.num_tokens for example in examples]
        laid = lay_out(lengths, self.settings.micro_batch_tokens, self.settings.row_tokens)
        sizes = [
            len(rows) * max(sum(lengths[item] for item in items) for items in rows) for rows in laid
        ]
        return [(laid[piece], counts) for piece, counts in shares(sizes)]

    def _logprobs(
        self, model: PreTrainedModel | None, examples: Sequence[Example]
    ) -> list[np.ndarray | None]:
        """A model's log-probability of every completion token, nats; None of each where there is no
        model.
        """
        if model is None:
            return [None] * len(examples)
        found: dict[int, np.ndarray] = {}
        with torch.no_grad():
            for rows, _ in self._own_layout(examples):
                logits, targets = self._forward(model, examples, rows)
                logprobs = token_logprobs(logits, targets, self.temperature).cpu().numpy()
                for item, row, where in _places(examples, rows):
                    found[item] = logprobs[row, where]
        everywhere = merged(found)
        return [everywhere[item] for item in range(len(examples))]

    def _forward(
        self, model: PreTrainedModel, examples: Sequence[Example], rows: Rows
    ) -> tuple[Tensor, Tensor]:
        """Logits of a micro-batch, [row, position, vocabulary], and the token that follows each
        position.
        """
        laid = [[token for item in items for token in _tokens(examples[item])] for items in rows]
        tokens = pad(laid, 0).to(model.device)
        inputs: dict[str, Any] = {}
        if self.settings.row_tokens is not None:
            lengths = [[examples[item].num_tokens for item in items] for items in rows]
            inputs = packed_inputs(model, lengths, tokens.shape[1] - 1)
        with passing(model, self._precision):
            logits = model(input_ids=tokens[:, :-1], **inputs, use_cache=False).logits
        return summable(logits), tokens[:, 1:]

    def _token_values(
        self, batch: Sequence[Prepared], weights: np.ndarray, watched: dict[str, float]
    ) -> list[np.ndarray]:
        """What `Placed` holds, [field, completion token] for each rollout."""
        corrections = self._corrections(batch, watched)
        values = []
        for index, (example, proximal, reference) in enumerate(batch):
            sampler, is_target = example.sampler_logprobs, example.is_target
            fields = {
                "sampler_logprobs": sampler,
                "behaviour_logprobs": sampler if proximal is None else proximal,
                "reference_logprobs": np.zeros(len(sampler)) if reference is None else reference,
                "advantages": example.advantages * corrections[index],
                "weights": is_target * weights[index],
                "is_target": is_target,
                "is_anchored": example.is_anchored & is_target & (reference is not None),
                "sequence": np.full(len(sampler), index),
            }
            values.append(np.array([fields[name] for name in Placed._fields], dtype=np.float64))
        return values

    def _corrections(
        self, batch: Sequence[Prepared], watched: dict[str, float]
    ) -> list[np.ndarray]:
        """Importance weight of every completion token: 1 without a correction, and where a token is
        no target.
        """
        weights = [np.ones(len(prepared.example.completion_tokens)) for prepared in batch]
        correction = self.settings.importance_correction
        if correction is None:
            return weights
        log_ratios = [
            (proximal - example.sampler_logprobs)[example.is_target]
            for example, proximal, _ in batch
        ]
        found = importance(np.concatenate(log_ratios), correction.kind, correction.cap)
        ends = np.cumsum([len(values) for values in log_ratios])
        for one, prepared, bounded in zip(
            weights, batch, np.split(found.weights, ends[:-1]), strict=True
        ):
            one[prepared.example.is_target] = bounded
        watched["importance_mean"] = found.mean
        watched["importance_ess_frac"] = found.ess_frac
        watched["importance_clipped_frac"] = found.clipped_frac
        return weights

    def _terms(
        self,
        model: PreTrainedModel,
        examples: Sequence[Example],
        rows: Rows,
        values: Sequence[np.ndarray],
    ) -> tuple[Terms, Tensor]:
        """Run a micro-batch; what each token has part in, and its weight."""
        settings = self.settings
        logits, targets = self._forward(model, examples, rows)
        placed = _place(examples, rows, values, logits)
        trainer_logprobs = token_logprobs(logits, targets, self.temperature)
        found = surrogate(
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
            *found,
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

    def _loss(self, terms: Terms, weights: Tensor, denominator: int, num_targets: int) -> Tensor:
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


def _tokens(example: Example) -> list[int]:
    return [*example.prompt_tokens, *example.completion_tokens]


def _places(examples: Sequence[Example], rows: Rows) -> Iterator[tuple[int, int, slice]]:
    """Rollout, its row, and the positions at which the model predicts its completion."""
    for row, items in enumerate(rows):
        end = 0
        for item in items:
            assert examples[item].prompt_tokens, (
                "a completion's first token is predicted from the prompt"
            )
            start = end + len(examples[item].prompt_tokens) - 1
            yield item, row, slice(start, start + len(examples[item].completion_tokens))
            end += examples[item].num_tokens


def _place(
    examples: Sequence[Example], rows: Rows, values: Sequence[np.ndarray], logits: Tensor
) -> Placed:
    """Per-token values where the model predicts those tokens, in the precision of its logits; 0
    elsewhere.
    """
    placed = torch.zeros(len(Placed._fields), *logits.shape[:-1], dtype=torch.float64)
    for item, row, where in _places(examples, rows):
        placed[:, row, where] = torch.from_numpy(values[item])
    fields = Placed(*placed.to(logits.device, logits.dtype))
    return fields._replace(
        is_target=fields.is_target.bool(),
        is_anchored=fields.is_anchored.bool(),
        sequence=fields.sequence.long(),
    )

"""A segment-level critic: the success a policy can expect at each boundary.

Learnt from a round's own rewards.

The critic is a small network on the frozen policy's last hidden state at the boundary. A boundary
is a state, the segment behind it an action (ArCHer, arXiv 2402.19446, section 3: a value per
utterance, and tokens that earn the advantage of theirs). ArCHer's advantage of a segment is Q(s_j,
z_j) − V(s_j). Here the next state is the old one with the segment behind it, no reward comes before
the answer and nothing is discounted, so Q(s_j, z_j) = V(s_{j+1}), and the advantage is V after
minus V before: progress, with no second network to learn. V is the reward expected of going on as
the policy does, where the other estimators give that of answering at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from stages.contracts.params.optimizer import AdamW
from stages.contracts.params.recipes.probe import Critic
from stages.engines.computing import Precision, autocast
from stages.engines.training.trainer import Trainer
from stages.pure.packing import micro_batches, pad
from stages.pure.returns import lambda_returns
from stages.pure.seeds import derive_seed
from stages.running.errors import BadInput

BETAS = (0.9, 0.999)
MAX_GRAD_NORM = 1.0
STD_FLOOR = 1e-6


@dataclass(frozen=True)
class ValuedPrefix:
    """A trace to value at its `boundaries`.

    They are positions in `tokens` (prompt and thinking), each behind one token or more. `reward` is
    NaN where the verifier failed: such a trace is valued and teaches nothing.
    """

    problem_id: str
    tokens: list[int]
    boundaries: list[int]
    reward: float


def boundary_values(
    model: PreTrainedModel,
    traces: Sequence[ValuedPrefix],
    settings: Critic,
    seed: int,
    pad_token: int,
    precision: Precision,
    on_row: Callable[[int], None],
) -> list[Float[np.ndarray, " _"]]:
    """The success expected at every boundary.

    By a critic that has seen no reward of the trace's problem. Problems fall into `num_folds` parts
    by a hash of their name; the critic of a part learns from all others.

    Returns:
        In (0, 1), for each trace in order.

    Raises:
        BadInput: a part has no other part to learn from.
    """
    states = boundary_states(
        model, traces, settings.micro_batch_tokens, pad_token, precision, on_row
    )
    folds = np.array(
        [derive_seed("fold", trace.problem_id) % settings.num_folds for trace in traces]
    )
    rewards = np.array([trace.reward for trace in traces])
    values: list[Float[np.ndarray, " boundary"]] = [np.zeros(0) for _ in traces]
    for fold in np.unique(folds).tolist():
        shown = np.flatnonzero((folds != fold) & ~np.isnan(rewards))
        if not len(shown):
            raise BadInput(
                f"probe.num_folds: {settings.num_folds} parts, and part {fold} has no judged "
                "rollout outside it to learn from (first problem "
                f"{traces[int(np.argmax(folds == fold))].problem_id}); ask more problems"
            )
        critic = train_critic(
            [states[row] for row in shown],
            rewards[shown],
            settings,
            derive_seed("critic", seed, fold),
        )
        with torch.no_grad():
            for row in np.flatnonzero(folds == fold).tolist():
                values[row] = critic(states[row]).sigmoid().squeeze(-1).cpu().double().numpy()
    return values


def boundary_states(
    model: PreTrainedModel,
    traces: Sequence[ValuedPrefix],
    micro_batch_tokens: int,
    pad_token: int,
    precision: Precision,
    on_row: Callable[[int], None],
) -> list[Float[Tensor, "_ hidden"]]:
    """The policy's last hidden state at the token before each boundary, one pass a trace."""
    states: dict[int, Tensor] = {}
    with torch.no_grad(), autocast(model, precision):
        for rows in micro_batches([len(trace.tokens) for trace in traces], micro_batch_tokens):
            tokens = pad([traces[row].tokens for row in rows], pad_token)
            hidden = model.base_model(
                input_ids=tokens.to(model.device), use_cache=False
            ).last_hidden_state
            for place, row in enumerate(rows):
                at = torch.tensor(traces[row].boundaries, device=hidden.device) - 1
                states[row] = hidden[place, at].float()
                on_row(len(traces[row].tokens))
    return [states[row] for row in range(len(traces))]


def train_critic(
    states: Sequence[Float[Tensor, "_ hidden"]],
    rewards: Float[np.ndarray, " trace"],
    settings: Critic,
    seed: int,
) -> nn.Module:
    """Fit V(state) = sigmoid(network) to TD(λ) targets, one full-batch step an epoch.

    The loss is the cross-entropy to the targets, whose minimum is their mean, as that of a squared
    error is, without its flat ends at 0 and 1. Targets are taken from the values of the epoch
    before and held, in the place of ArCHer's slowly moving copy of the network. Its two Q networks
    have no use here, for no maximum is taken.
    """
    features = torch.cat(list(states))
    lengths = np.array([len(of_trace) for of_trace in states])
    is_state = torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])
    critic = _network(features, settings.hidden_size, seed)
    optimizer = AdamW(
        learning_rate=settings.learning_rate,
        betas=BETAS,
        weight_decay=0.0,
        max_grad_norm=MAX_GRAD_NORM,
    )
    trainer = Trainer(critic, optimizer)
    for _ in range(settings.num_epochs):
        logits = critic(features).squeeze(-1)
        values = torch.zeros(is_state.shape, dtype=torch.float64)
        values[is_state] = logits.detach().sigmoid().cpu().double()
        targets = torch.from_numpy(
            lambda_returns(values.numpy(), rewards, lengths, settings.td_lambda)
        )[is_state]
        trainer.step([nn.functional.binary_cross_entropy_with_logits(logits, targets.to(logits))])
    return critic


class _Standardize(nn.Module):
    """Each feature less its mean, by its standard deviation, both of the states to learn from."""

    def __init__(self, features: Float[Tensor, "state hidden"]) -> None:
        super().__init__()
        self.register_buffer("mean", features.mean(0))
        self.register_buffer("std", features.std(0, correction=0).clamp_min(STD_FLOOR))

    def forward(self, features: Float[Tensor, "state hidden"]) -> Float[Tensor, "state hidden"]:
        return (features - self.get_buffer("mean")) / self.get_buffer("std")


def _network(features: Float[Tensor, "state hidden"], hidden_size: int, seed: int) -> nn.Sequential:
    """One hidden layer, its weights drawn from `seed`."""
    size = features.shape[1]
    network = nn.Sequential(
        _Standardize(features), nn.Linear(size, hidden_size), nn.Tanh(), nn.Linear(hidden_size, 1)
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            bound = 0.0 if parameter.dim() == 1 else parameter.shape[1] ** -0.5
            parameter.uniform_(-bound, bound, generator=generator)
    return network.to(features.device)

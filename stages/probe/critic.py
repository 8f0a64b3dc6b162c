"""The estimator `critic`: the success that a learned value expects at every boundary."""

from pathlib import Path

from stages.contracts.params.recipes.probe import Critic
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.scores import SCORES
from stages.engines.device import exclusive_device
from stages.probe.inputs import ProbeInputs, Row, advancing, probe_row


def probe_by_critic(inputs: ProbeInputs, settings: Critic) -> list[Row]:
    """The value of each boundary, learnt from the rewards of other problems."""
    from stages.engines.computing import use_threads
    from stages.engines.policy import load_policy
    from stages.probe.critic_network import ValuedPrefix, boundary_values

    use_threads()
    rewards = read_rewards(inputs.scores)
    valued = [
        ValuedPrefix(
            rollout.problem_id, rollout.tokens, rollout.positions, rewards[rollout.rollout_id]
        )
        for rollout in inputs.rollouts
    ]
    num_tokens = sum(len(prefix.tokens) for prefix in valued)
    with exclusive_device("probe"):
        model = load_policy(inputs.policy)
        with advancing(inputs.facts, "tok", num_tokens) as advance:
            values = boundary_values(
                model,
                valued,
                settings,
                inputs.seed,
                inputs.renderer.pad_token,
                inputs.compute.training.precision,
                lambda num_tokens: advance(num_tokens, num_tokens),
            )
    rows = []
    for rollout, of_rollout in zip(inputs.rollouts, values, strict=True):
        for index, value in enumerate(of_rollout.tolist()):
            rows.append(probe_row(rollout, index, settings, value=value))
    return rows


def read_rewards(scores: Path) -> dict[str, float]:
    """Reward of each rollout; NaN where its verifier failed."""
    data = read_table(scores, SCORES, ["rollout_id", "reward"]).to_pydict()
    return {
        rollout_id: float("nan") if reward is None else reward
        for rollout_id, reward in zip(data["rollout_id"], data["reward"], strict=True)
    }

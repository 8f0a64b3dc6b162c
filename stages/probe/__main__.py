"""Estimate, at every segment boundary, what the policy would answer: now, or in the end.

Reads   policy, problems, the solutions known of them, the format of their text, rollouts, segments;
        scores, for a critic; params.yaml `compute`, the round's seed, its recipe's `probe` and
        `rollout.budget_tokens`.
Writes  probes, one row per boundary probed: the answers tried and their log-probabilities in nats,
        or a critic's value. Judging answers is the next stage's business.
Method  `FUNCTIONS` names the function of each: likelihoods read a rollout once
        (`stages.engines.likelihood`), answers are sampled behind the same cue at every boundary,
        the last included (`stages.probe.forced_answers`), or behind thinking that goes on
        (`stages.probe.continued`), a critic learns a value from the round's rewards
        (`stages.probe.critic_network`).

Example: python -m stages.probe --round-id i1 --policy data/policies/r0 \
         --problems data/problems.parquet --text-format data/format.json \
         --rollouts data/rounds/i1/rollouts.parquet --scores data/rounds/i1/scores.parquet \
         --segments data/rounds/i1/segments.parquet --solutions data/solutions.parquet \
         --probes data/rounds/i1/probes.parquet
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages.contracts.format import read_format
from stages.contracts.origin import Origin
from stages.contracts.params.base import Count, Name, Seed, read_section
from stages.contracts.params.compute.compute import Compute
from stages.contracts.params.recipes.probe import (
    AnswerEntropy,
    AnswerLikelihood,
    Continued,
    Critic,
    ForcedAnswer,
    Probe,
    ProbeTraits,
    SetLikelihood,
)
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.segments import SEGMENTS
from stages.probe.continued import probe_by_continuing
from stages.probe.critic import probe_by_critic
from stages.probe.inputs import ProbedRollout, ProbeInputs, Row
from stages.probe.likelihood import probe_answer, probe_set
from stages.probe.sampled import probe_by_sampling
from stages.running.errors import command
from stages.running.publish import RunFacts

COLUMNS = (
    *("rollout_id", "problem_id", "prompt_tokens", "completion_tokens"),
    *("token_origin", "num_thinking_tokens", "seed"),
)
FUNCTIONS: Mapping[type[ProbeTraits], Callable[[ProbeInputs, Any], list[Row]]] = {
    SetLikelihood: probe_set,
    AnswerLikelihood: probe_answer,
    ForcedAnswer: probe_by_sampling,
    AnswerEntropy: probe_by_sampling,
    Continued: probe_by_continuing,
    Critic: probe_by_critic,
}
"""Called with the round and the estimator's own settings."""


def main(
    round_id: str,
    policy: Path,
    problems: Path,
    text_format: Path,
    rollouts: Path,
    scores: Path,
    segments: Path,
    solutions: Path,
    probes: Path,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Probe the rollouts of one round."""
    recipe = read_section(params_file, f"rounds.{round_id}.recipe", Name)
    settings: Probe = read_section(params_file, f"recipes.{recipe}.probe", Probe)
    facts, renderer = RunFacts("probe"), Renderer.of_policy(policy)
    rows = FUNCTIONS[type(settings)](
        ProbeInputs(
            policy,
            read_rollouts(rollouts, segments),
            renderer.cue_tokens(read_format(text_format)),
            read_section(params_file, f"recipes.{recipe}.rollout.budget_tokens", Count),
            renderer,
            read_section(params_file, "compute", Compute),
            read_section(params_file, f"rounds.{round_id}.seed", Seed),
            scores,
            problems,
            solutions,
            facts,
        ),
        settings,
    )
    write_table(probes, PROBES, rows)
    facts.count(num_probes=sum(row["num_probes"] for row in rows))
    facts.write(probes)


def read_rollouts(rollouts: Path, segments: Path) -> list[ProbedRollout]:
    """The rollouts of a round up to the end of their thinking, in the order of their table."""
    boundaries = find_boundaries(read_table(segments, SEGMENTS))
    return [
        probed_rollout(row, boundaries.get(row["rollout_id"], [0]))
        for row in read_table(rollouts, ROLLOUTS, COLUMNS).to_pylist()
    ]


def probed_rollout(row: Row, boundaries: list[int]) -> ProbedRollout:
    """A row of rollouts, cut to its thinking."""
    is_sampled = np.array([0, *(origin == Origin.SAMPLED for origin in row["token_origin"])])
    num_thinking = row["num_thinking_tokens"]
    return ProbedRollout(
        row["rollout_id"],
        row["problem_id"],
        row["seed"],
        len(row["prompt_tokens"]),
        [*row["prompt_tokens"], *row["completion_tokens"][:num_thinking]],
        boundaries,
        is_sampled.cumsum()[boundaries].tolist(),
        num_thinking < len(row["completion_tokens"]),
    )


def find_boundaries(segments: pa.Table) -> dict[str, list[int]]:
    """Boundaries of each rollout's thinking: its start, and the end of each of its segments."""
    boundaries: dict[str, list[int]] = {}
    for row in segments.select(["rollout_id", "kind", "end_token"]).to_pylist():
        of_rollout = boundaries.setdefault(row["rollout_id"], [0])
        if row["kind"] != "answer":
            of_rollout.append(row["end_token"])
    return boundaries


if __name__ == "__main__":
    command(main, writes=("probes",))

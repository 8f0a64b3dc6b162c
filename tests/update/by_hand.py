"""Two problems, five rollouts: one cut off, one whose verifier failed; and the tiny recipe."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.contracts.params.recipes.update import Update
from stages.contracts.params.whole import load
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.pure.objectives.tokens import TokenAdvantages
from stages.update.advantage import token_advantages
from stages.update.round_tables import ROLLOUT_COLUMNS, SEGMENT_COLUMNS, RoundTables, round_tables

PROFILE = Path(__file__).parents[1] / "profiles" / "tiny.yaml"
RECIPE = load(PROFILE).recipes["information"]
NAN = float("nan")

SAMPLED = {
    "rollout_id": ["a0", "a1", "a2", "b0", "b1"],
    "problem_id": ["a", "a", "a", "b", "b"],
    "prompt_tokens": [[1, 2]] * 5,
    "completion_tokens": [[5] * 6, [6] * 5, [7] * 4, [8] * 3, [9] * 3],
    "sampler_logprobs": [[-1.0] * 6, [-1.0] * 5, [-1.0] * 4, [-1.0] * 3, [-1.0] * 3],
    "num_thinking_tokens": [4, 3, 4, 2, 2],
    "token_origin": [[0] * 6, [0, 0, 0, 1, 0], [0] * 4, [0] * 3, [0] * 3],
    "finish_reason": ["stop", "forced", "length", "stop", "stop"],
}
REWARDS = [1.0, 0.0, None, 1.0, 1.0]
BEFORE, AFTER = (
    {"a0": [0.0, 0.25], "a1": [0.75], "a2": [0.25], "b0": [0.25], "b1": [0.25]},
    {"a0": [0.25, 0.75], "a1": [0.0], "a2": [0.25], "b0": [0.75], "b1": [0.5]},
)
"""Success before and after each thinking segment."""
# rollout_id, segment_index, start_token, end_token, attempt_verdict, self_verdict, progress
SEGMENT_ROWS = [
    ("a0", 0, 0, 2, "incorrect", True, 0.25),
    ("a0", 1, 2, 4, "correct", True, 0.5),
    ("a0", 2, 4, 6, None, None, None),
    ("a1", 0, 0, 3, "correct", False, -0.75),
    ("a1", 1, 3, 5, None, None, None),
    ("a2", 0, 0, 4, None, None, 0.0),
    ("b0", 0, 0, 2, "timeout", True, 0.5),
    ("b0", 1, 2, 3, None, None, None),
    ("b1", 0, 0, 2, "unparsable", False, 0.25),
    ("b1", 1, 2, 3, None, None, None),
]
PLAIN = {"credit_baseline": "none", "credit_scale": "none"}
CREDIT = {"alpha": 1.0, **PLAIN}
TO_GO = {"credit_discount": 1.0, **CREDIT}
GEOMETRIC = {"kind": "geometric", "token_discount": 0.98}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "outcome": {"name": "outcome"},
    "information": {"name": "information", "gain": "progress", **TO_GO},
    "anytime": {"name": "anytime", "gain": "progress", "prior": GEOMETRIC, **CREDIT},
    "myopic": {"name": "myopic", "gain": "progress", **CREDIT},
    "process": {"name": "process", **TO_GO},
    "myopic_process": {"name": "myopic_process", **CREDIT},
    "correction_start": {"name": "correction_start"},
    "correction": {"name": "correction", "alpha": 1.0, **PLAIN},
    "offline": {"name": "offline", "gain": "progress", "keep_frac": 0.5},
}


def known(
    rewards: list[float | None] | None = None, settings: Update = RECIPE.update
) -> RoundTables:
    """The round as an update reads it; `rewards` in the place of its own."""
    columns = [list(column) for column in zip(*SEGMENT_ROWS, strict=True)]
    segments = dict(zip(SEGMENT_COLUMNS, columns[:-1], strict=True))
    thinking = [row for row in SEGMENT_ROWS if row[-1] is not None]
    gains = {
        "rollout_id": [row[0] for row in thinking],
        "segment_index": [row[1] for row in thinking],
        "progress": [row[-1] for row in thinking],
        "success_before": [BEFORE[row[0]][row[1]] for row in thinking],
        "success_after": [AFTER[row[0]][row[1]] for row in thinking],
    }
    scores = {"rollout_id": SAMPLED["rollout_id"], "reward": rewards or REWARDS}
    return round_tables(
        made(SAMPLED, ROLLOUTS.schema, ROLLOUT_COLUMNS),
        made(scores, SCORES.schema, scores),
        made(segments, SEGMENTS.schema, SEGMENT_COLUMNS),
        made(gains, GAINS.schema, gains),
        settings,
    )


def made(columns: dict[str, Any], schema: pa.Schema, names: Any) -> pa.Table:
    """Some columns of a table."""
    return pa.table(columns, schema=pa.schema([schema.field(name) for name in names]))


def update(objective: str = "information", keys: Any = None, **changes: Any) -> Update:
    """The tiny update with another objective and changes, checked as params.yaml is."""
    chosen = {"objective": {**OBJECTIVES[objective], **(keys or {})}, "normalize_by_std": False}
    return Update.model_validate({**RECIPE.update.model_dump(), **chosen, **changes})


def on_tokens(
    objective: str = "information", keys: Any = None, rewards: Any = None, **changes: Any
) -> TokenAdvantages:
    """What that update gives to tokens."""
    settings = update(objective, keys, **changes)
    tables = known(rewards, settings)
    return token_advantages(tables, settings, RECIPE.rollout.budget_tokens, round_seed=3)


def summed_advantages(objective: str, keys: Any = None, **changes: Any) -> list[list[float]]:
    """The advantage of every token of each rollout."""
    advantages = on_tokens(objective, keys, **changes)
    return [(a + b).tolist() for a, b in zip(advantages.outcome, advantages.credit, strict=True)]

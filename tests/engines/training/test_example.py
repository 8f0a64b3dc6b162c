"""The worked example of a training example is what an update makes of such a rollout."""

import re

import numpy as np
import pyarrow as pa
import pytest

from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.engines.training.example import Example
from stages.pure.objectives.arrays import Advantage
from stages.pure.objectives.tokens import on_tokens
from stages.update.examples import assemble
from stages.update.round_tables import round_tables
from tests.update.by_hand import update

LINE = re.compile(r"^ +(\w+) +([-.\d ]+?)(?: +\[token\])?$", re.MULTILINE)


def worked_example() -> dict[str, list[float]]:
    """The columns of numbers in the docstring."""
    assert Example.__doc__ is not None
    columns = {name: text.split() for name, text in LINE.findall(Example.__doc__)}
    return {name: [float(word) for word in words] for name, words in columns.items()}


def made() -> Example:
    """The rollout of the docstring, its segments with the advantages given there."""
    columns = worked_example()
    tokens = [int(token) for token in columns["completion_tokens"]]
    rollout = {
        "rollout_id": "r",
        "problem_id": "p",
        "sample_index": 0,
        "policy_id": "r0",
        "prompt_tokens": [1, 3],
        "completion_tokens": tokens,
        "sampler_logprobs": columns["sampler_logprobs"],
        "token_origin": [int(code) for code in columns["origin"]],
        "num_thinking_tokens": 6,
        "finish_reason": "stop",
        "seed": 0,
        "temperature": 1.0,
    }
    spans = [("attempt", 0, 5), ("other", 5, 6), ("answer", 6, 10)]
    segments = [
        {"rollout_id": "r", "segment_index": index, "kind": kind, "start_token": a, "end_token": b}
        for index, (kind, a, b) in enumerate(spans)
    ]
    tables = round_tables(
        pa.Table.from_pylist([rollout], ROLLOUTS.schema),
        pa.Table.from_pylist([{"rollout_id": "r", "reward": 1.0}], SCORES.schema),
        pa.Table.from_pylist(segments, SEGMENTS.schema),
        GAINS.schema.empty_table(),
        update("outcome"),
    )
    advantage = Advantage(np.array([0.5, -0.2, 1.0]), np.zeros(3))
    is_anchored = np.array([True, True, False])
    advantages = on_tokens(advantage, is_anchored, tables.segments, tables.is_sampled)
    [example], [row] = assemble(tables, advantages, update("outcome"))
    assert (row["num_trained_tokens"], row["num_untrained_tokens"]) == (7, 0)
    assert (row["num_cue_tokens"], row["num_environment_tokens"]) == (1, 2)
    return example


def test_the_worked_example_is_what_an_update_makes() -> None:
    columns, example = worked_example(), made()
    assert columns.keys() == {
        *("origin", "completion_tokens", "is_target", "sampler_logprobs", "advantages"),
        "is_anchored",
    }
    for name in columns.keys() - {"origin"}:
        assert getattr(example, name) == pytest.approx(np.array(columns[name]), abs=1e-6), name


def test_what_was_not_sampled_is_no_target_and_has_no_log_probability() -> None:
    example = made()
    is_given = np.array(worked_example()["origin"]) != 0
    assert (example.is_target == ~is_given).all()
    assert not example.sampler_logprobs[is_given].any()
    assert not example.is_anchored[is_given].any()


def test_nothing_is_held_without_a_reference() -> None:
    example = made()
    assert not example.is_held.any()
    assert example.behaviour_logprobs is example.sampler_logprobs
    assert example.num_tokens == len(example.tokens) == 12

"""Every token is trained, put there or left out for a reason, and the sums match."""

from typing import Any

import pytest

from stages.engines.training.example import Example
from stages.pure.accounting import Status
from stages.update.examples import assemble
from stages.update.metrics import course
from tests.update.by_hand import NAN, SAMPLED, known, on_tokens, update

LENGTHS = [len(tokens) for tokens in SAMPLED["completion_tokens"]]


def assembled(
    objective: str, rewards: list[float | None] | None = None, **changes: Any
) -> tuple[list[Example], list[dict[str, Any]]]:
    advantages = on_tokens(objective, rewards=rewards, **changes)
    return assemble(known(rewards), advantages, update(objective, **changes))


def test_a_group_with_one_outcome_is_left_out_by_outcome_and_used_by_information() -> None:
    for objective, expected in (
        ("outcome", Status.FILTERED_ZERO_ADVANTAGE),
        ("information", Status.TRAINED),
    ):
        _, rows = assembled(objective)
        assert [row["status"] for row in rows[3:]] == [expected] * 2
    _, rows = assembled("information", filter_groups="one_outcome")
    used = [Status.TRAINED, Status.TRAINED, Status.ERRORED]
    assert [row["status"] for row in rows] == used + [Status.FILTERED_GROUP] * 2


@pytest.mark.parametrize("term", ["kl_coefficient", "entropy_coefficient"])
def test_a_rollout_without_advantage_is_kept_where_the_loss_has_another_term(term: str) -> None:
    _, rows = assembled("outcome", **{term: 0.1})
    assert [row["status"] for row in rows[3:]] == [Status.TRAINED] * 2


@pytest.mark.parametrize("filter_groups", [None, "one_outcome"])
@pytest.mark.parametrize("mask_truncated", [True, False])
@pytest.mark.parametrize("objective", ["outcome", "information", "process"])
def test_every_token_is_accounted_for(
    objective: str, mask_truncated: bool, filter_groups: str | None
) -> None:
    changes = {"mask_truncated": mask_truncated, "filter_groups": filter_groups}
    examples, rows = assembled(objective, [1.0, 0.0, 0.0, 1.0, NAN], **changes)
    kinds = ("trained", "cue", "environment", "untrained")
    for row, length in zip(rows, LENGTHS, strict=True):
        assert sum(row[f"num_{kind}_tokens"] for kind in kinds) == length
        assert (row["num_trained_tokens"] > 0) == (row["status"] == Status.TRAINED)
    assert rows[1]["num_cue_tokens"] == 1
    assert rows[2]["status"] == (Status.TRUNCATED if mask_truncated else Status.TRAINED)
    assert (rows[3]["status"] == Status.FILTERED_GROUP) == (filter_groups is not None)
    assert rows[4]["status"] == Status.ERRORED
    watched = ("loss", "grad_norm", "clip_frac", "kl_nats", "entropy_nats")
    differences = ("max_logprob_difference_nats", "mean_logprob_difference_nats")
    metrics = course(rows, [dict.fromkeys((*watched, *differences), 0.0)])
    assert sum(metrics["tokens"].values()) == sum(LENGTHS)
    assert metrics["tokens"]["trained"] == sum(int(example.is_target.sum()) for example in examples)


def test_the_ids_trained_are_the_ids_sampled() -> None:
    examples, rows = assembled("information")
    trained = [index for index, row in enumerate(rows) if row["status"] == Status.TRAINED]
    for name in ("prompt_tokens", "completion_tokens"):
        of_examples = [getattr(example, name).tolist() for example in examples]
        assert of_examples == [SAMPLED[name][i] for i in trained]
    assert [row["rollout_id"] for row in rows] == SAMPLED["rollout_id"]
    assert examples[1].sampler_logprobs.tolist() == [-1.0] * 5
    assert examples[1].is_target.tolist() == [True, True, True, False, True]
    assert examples[1].is_anchored.tolist() == [True, True, True, False, True]

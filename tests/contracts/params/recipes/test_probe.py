"""What each estimator says it leaves behind."""

from pathlib import Path
from typing import Any

import pytest

from stages.contracts.params.base import variants
from stages.contracts.params.recipes.probe import Probe
from tests.contracts.params.mistakes import (
    ABSENT,
    SAMPLED,
    Edit,
    Mistake,
    assert_refused,
    each_mistake,
    put,
)

SAMPLING = {"num_probes": 4, "answer_tokens": 9, "temperature": 1.0}
EIGHT = {**SAMPLING, "num_probes": 8}
READING = {"temperature": 1.0, "micro_batch_tokens": 8}
CRITIC = {"num_folds": 2, "num_epochs": 1, "hidden_size": 4, "td_lambda": 1.0, "learning_rate": 0.1}


def probe(estimator: str, **keys: Any) -> Probe:
    return variants(Probe)[estimator].model_validate({"estimator": estimator, **keys})


@pytest.mark.parametrize(
    ("chosen", "num_answers", "success_from", "nats_from"),
    [
        (probe("set_likelihood", **READING), (1, None), "known_answers", "log_success"),
        (probe("answer_likelihood", **READING), (1, 1), "known_answers", "log_success"),
        (probe("forced_answer", **SAMPLING), (4, 4), "sampled_answers", None),
        (
            probe("forced_answer", **SAMPLING, adaptive={"max_probes": 9, "max_stderr": 0.1}),
            (4, 9),
            "sampled_answers",
            None,
        ),
        (
            probe("answer_entropy", **EIGHT, gate_by_success=True),
            (8, 8),
            "sampled_answers",
            "entropy",
        ),
        (probe("continued", **SAMPLING), (4, 4), "sampled_answers", None),
        (probe("critic", **CRITIC, micro_batch_tokens=8), (0, 0), "value", None),
    ],
)
def test_traits_by_hand(
    chosen: Probe, num_answers: tuple[int, int | None], success_from: str, nats_from: str | None
) -> None:
    assert chosen.num_answers == num_answers
    assert (chosen.success_from, chosen.nats_from) == (success_from, nats_from)
    assert chosen.sampled_tokens == (9 if success_from == "sampled_answers" else None)
    assert chosen.needs_all_answers == (chosen.estimator == "set_likelihood")
    assert chosen.is_gated == (nats_from == "entropy")


def test_a_share_of_the_boundaries_makes_a_round_thin() -> None:
    assert not probe("forced_answer", **SAMPLING).is_thinned
    assert probe("forced_answer", **SAMPLING, boundary_frac=1.0).is_thinned
    assert not probe("answer_entropy", **EIGHT, gate_by_success=False).is_gated


def test_a_pilot_and_thinking_that_goes_on_are_completions_too() -> None:
    adaptive = {"max_probes": 9, "max_stderr": 0.1}
    assert probe("forced_answer", **SAMPLING).max_completions == 4
    assert probe("forced_answer", **SAMPLING, adaptive=adaptive).max_completions == 9 + 4
    assert probe("continued", **SAMPLING).max_completions == 2 * 4


MISTAKES: list[Mistake] = [
    (
        "estimator",
        [put("recipes.information.probe.estimator", "x")],
        ["probe", "'set_likelihood'", "'forced_answer'"],
    ),
    (
        "fewer_probes_at_most_than_at_first",
        [
            put(
                "recipes.information.probe",
                {
                    "estimator": "forced_answer",
                    **SAMPLED,
                    "adaptive": {"max_probes": 3, "max_stderr": 0.1},
                },
            )
        ],
        ["recipes.information.probe", "max_probes 3", "num_probes 4"],
    ),
    (
        "too_few_answers_for_their_entropy",
        [
            put(
                "recipes.information.probe",
                {"estimator": "answer_entropy", **SAMPLED, "gate_by_success": True},
            )
        ],
        ["recipes.information.probe", "num_probes", "fewer than 8", "found 4"],
    ),
    (
        "likelihood_at_no_temperature",
        [put("recipes.information.probe.temperature", ABSENT)],
        ["recipes.information.probe", "temperature", "required"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)

"""Families whose own scorer gives full score to a wrong answer: here it is wrong."""

from typing import Any

import pytest

from stages.contracts.params.task import ReasoningGymTask, ReasoningGymTier, TrainedText
from stages.contracts.verdict import Verdict
from stages.tasks.families import CORRECT_SCORE, MISLED_FAMILIES, load_dataset
from stages.verifiers.reasoning_gym import CONDITIONS, ReasoningGymVerifier


@pytest.mark.parametrize(
    ("family", "config", "wrong"),
    [
        ("coin_flip", {}, "0"),
        ("complex_arithmetic", {}, "nan"),
        ("complex_arithmetic", {}, "1 + NaNi"),
        ("game_of_life_halting", {}, "maybe"),
        ("puzzle24", {}, "4*6*1*1"),
    ],
)
def test_a_wrong_answer_at_full_score_is_wrong(
    family: str, config: dict[str, Any], wrong: str
) -> None:
    tier = ReasoningGymTier(difficulty=0, num_train=1, num_heldout=1, num_reserved=0, config=config)
    text = TrainedText(kind="trained", vocabulary_size=300)
    params = ReasoningGymTask(name="reasoning_gym", family=family, seed=1, text=text, tiers=[tier])
    dataset, verifier = load_dataset(params, tier, size=8), ReasoningGymVerifier(params)
    entries = [dataset[index] for index in range(8)]
    metadata = [{"difficulty": 0, "entry": entry} for entry in entries]
    assert any(dataset.score_answer(wrong, entry) >= CORRECT_SCORE for entry in entries)
    assert Verdict.CORRECT not in [verifier.verify(one, wrong) for one in metadata]
    right = [
        verifier.verify(one, entry["answer"]) for one, entry in zip(metadata, entries, strict=True)
    ]
    assert right == [Verdict.CORRECT] * 8


def test_every_condition_is_tried() -> None:
    assert set(CONDITIONS) == set(MISLED_FAMILIES)

"""Families whose own scorer gives full score to a wrong answer: here it is wrong."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from stages.contracts.params.task import ReasoningGymTask, ReasoningGymTier, TrainedText
from stages.contracts.verdict import Verdict
from stages.tasks.families import CORRECT_SCORE, MISLED_FAMILIES, load_dataset
from stages.tasks.reasoning_gym import ReasoningGym
from stages.tasks.task import Problem
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


CASES = (Path(__file__).parent / "cases/reasoning_gym.jsonl").read_text(encoding="utf-8")
"""Answers made of the reference, `{ref}`, and of another problem's, `{other}`."""
NUM_PROBLEMS = 4


@lru_cache
def problems_of(family: str, containing: str) -> tuple[ReasoningGymVerifier, list[Problem]]:
    """A family's verifier, and its first problems whose reference contains a text."""
    tier = ReasoningGymTier(difficulty=0, num_train=9, num_heldout=1, num_reserved=0, config={})
    text = TrainedText(kind="trained", vocabulary_size=300)
    params = ReasoningGymTask(name="reasoning_gym", family=family, seed=3, text=text, tiers=[tier])
    problems: list[Problem] = []
    for problem in ReasoningGym(params)._draws(tier):
        if problem and containing in problem.answer:
            problems.append(problem)
        if len(problems) == NUM_PROBLEMS:
            break
    return ReasoningGymVerifier(params), problems


@pytest.mark.parametrize(
    "case",
    [json.loads(line) for line in CASES.splitlines()],
    ids=lambda case: f"{case['family']}: {case['answer']}",
)
def test_an_answer_made_of_the_reference_has_its_right_verdict(case: dict[str, str]) -> None:
    verifier, problems = problems_of(case["family"], case.get("of", ""))
    for problem in problems:
        other = next(one.answer for one in problems if one.answer != problem.answer)
        answer = case["answer"].replace("{ref}", problem.answer).replace("{other}", other)
        verdict = verifier.verify(problem.metadata, answer)
        assert (verdict is Verdict.CORRECT) == (case["expected"] == "correct"), answer

"""Hostile answers through every verifier: a verdict each, never correct, nothing left behind."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixtures.tasks import mathematics_task
from stages.contracts.params.task import (
    ModularTask,
    ModularTier,
    ReasoningGymTask,
    ReasoningGymTier,
    TaskParams,
    TrainedText,
)
from stages.contracts.verdict import Verdict
from stages.tasks.reasoning_gym import ReasoningGym
from stages.tasks.task import Problem
from stages.verifiers.isolated import Submission, _load_verify, _Worker, verify
from tests.verifiers.hostile import HOSTILE, aimed
from tests.verifiers.test_isolated import COUNTDOWN

TEXT = TrainedText(kind="trained", vocabulary_size=300)
TIMEOUT_SECONDS = 0.3
BOMB = r"\int_0^1 \sin(x^{x^{3}}) \ln x dx"
FAMILIES = (
    "simple_integration",  # sympy's parser, then a derivative simplified
    "n_queens",  # evaluates text for partial credit
    "spiral_matrix",  # likewise
    "complex_arithmetic",  # a parser of its own; takes nan for any number
    "coin_flip",  # takes any first digits for the whole number
)
MODULAR = ModularTask(
    name="modular",
    seed=1,
    modulus=97,
    heldout_bucket=0,
    tiers=[ModularTier(num_factors=2, num_train=1, num_heldout=1, num_reserved=0)],
)
MATHEMATICS = mathematics_task()


EXACT: dict[str, tuple[TaskParams, str, dict[str, Any]]] = {
    "expression": (COUNTDOWN, "7 + 5 12 12 * 3 36", {"numbers": [3, 5, 7], "target": 36}),
    "modular": (MODULAR, "77", {"factors": [7, 11], "modulus": 97}),
    "math": (MATHEMATICS, r"\frac{1237}{41}", {"answer": r"\frac{1237}{41}"}),
}


def case(name: str) -> tuple[TaskParams, Problem]:
    """A verifier's task and a problem of it."""
    if name in EXACT:
        task, answer, metadata = EXACT[name]
        return task, Problem("a", "train", 0, "", answer, metadata, 0)
    tier = ReasoningGymTier(difficulty=0, num_train=1, num_heldout=1, num_reserved=0, config={})
    params = ReasoningGymTask(name="reasoning_gym", family=name, seed=1, text=TEXT, tiers=[tier])
    return params, next(ReasoningGym(params).problems())


@pytest.mark.parametrize("name", [*EXACT, *FAMILIES])
def test_hostile_answers_do_no_harm(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, problem = case(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    before = set(psutil.Process().children(recursive=True))
    texts = [aimed(text, str(tmp_path / "canary"), problem.answer) for text in HOSTILE]
    verdicts = verify(
        task, [Submission(problem, text, is_attempt=False) for text in texts], TIMEOUT_SECONDS
    )
    fooled = [
        text[:80]
        for text, verdict in zip(HOSTILE, verdicts, strict=True)
        if verdict is Verdict.CORRECT
    ]
    assert not fooled
    assert None not in verdicts
    assert set(psutil.Process().children(recursive=True)) <= before
    assert not list(home.iterdir())
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["expression", "modular"])
def test_hostile_attempts_do_no_harm(name: str, tmp_path: Path) -> None:
    task, problem = case(name)
    texts = [aimed(text, str(tmp_path / "canary"), problem.answer) for text in HOSTILE]
    verdicts = verify(
        task, [Submission(problem, text, is_attempt=True) for text in texts], TIMEOUT_SECONDS
    )
    assert set(verdicts) <= {Verdict.INCORRECT, Verdict.UNPARSABLE}


def test_a_bomb_is_killed_at_its_limit_and_the_next_answers_are_judged() -> None:
    task, problem = case("math")
    right = Submission(problem, problem.answer, is_attempt=False)
    worker = _Worker(partial(_load_verify, task), TIMEOUT_SECONDS)
    try:
        assert worker.verify([right]) == [(Verdict.CORRECT, 1)]
        begin = time.monotonic()
        assert worker.verify([right._replace(text=BOMB)]) == [(Verdict.TIMEOUT, None)]
        assert time.monotonic() - begin >= TIMEOUT_SECONDS
        assert worker.verify([right, right]) == [(Verdict.CORRECT, 1)] * 2
    finally:
        worker.stop()


def test_there_are_enough_hostile_answers_of_every_kind() -> None:
    assert len(HOSTILE) >= 200
    assert max(map(len, HOSTILE)) > 1_000_000
    for sign in ("\0", "{canary}", "{right}", "__import__", "\ud800", "７", "9**9", "(" * 1000):
        assert any(sign in text for text in HOSTILE)

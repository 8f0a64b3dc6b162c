"""Which problems an exam asks, and its samples at every temperature."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.checkouts import ROOT
from stages import examine
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import merge_rows
from stages.contracts.tables.answers import ANSWERS
from stages.engines.pools.here import OneEngine
from stages.engines.sampler import Continuation, Request, Sampler
from stages.engines.turns import Answering
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from stages.tasks.marks import marks_of
from stages.tasks.task import Problem

EXAM = load(ROOT / "params.yaml").exam


def problem(difficulty: int, number: int, split: str = "train") -> Problem:
    name = f"d{difficulty}-{number}"
    return Problem(name, split, difficulty, "<bos> 1 2 T3 :", "1 + 2 3", {}, number)


PROBLEMS = [problem(difficulty, number) for number in range(9) for difficulty in (4, 3)]


def drawn(num_seen: int, seed: int, problems: list[Problem] = PROBLEMS) -> list[str]:
    return [
        p.problem_id
        for p in examine.draw_seen(
            problems, EXAM.model_copy(update={"num_seen": num_seen, "seed": seed})
        )
    ]


@given(st.integers(0, 9), st.integers(0, 99))
def test_each_difficulty_is_asked_as_often(num_seen: int, seed: int) -> None:
    seen = drawn(num_seen, seed)
    assert len(set(seen)) == len(seen)
    assert [name[:2] for name in seen] == ["d3"] * num_seen + ["d4"] * num_seen


def test_the_draw_is_the_exams_own() -> None:
    """Another policy has the same exam; another seed, or another difficulty, has another draw."""
    assert drawn(4, 1) == drawn(4, 1)
    assert drawn(4, 1) != drawn(4, 2)
    assert drawn(4, 1)[:4] == drawn(4, 1, [p for p in PROBLEMS if p.difficulty == 3])


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(
        BadInput, match=r"num_seen asks for 10 .* difficulty 3 has 9 .* raise task.tiers num_train"
    ):
        drawn(10, 1)


def asked(temperatures: list[float]) -> list[str]:
    settings = EXAM.model_copy(update={"num_seen": 1, "temperatures": temperatures})
    others = [problem(3, 20, "reserved"), problem(3, 21, "heldout"), problem(4, 22, "reserved")]
    return [p.split for p in examine.choose_problems([*PROBLEMS, *others], settings)]


def test_reserved_problems_are_asked_where_there_is_a_choice() -> None:
    assert asked([1.0, 0.5]) == ["heldout", "reserved", "reserved", "train", "train"]
    assert asked([1.0]) == ["heldout", "train", "train"]


class Echo:
    """A sampler whose completions say what was asked: a digit of the seed, and how cold it was."""

    num_prompt_tokens = num_cached_prompt_tokens = 0

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer

    def sample(
        self, requests: Sequence[Request], temperature: float, on_tokens: Callable[[int], None]
    ) -> list[Continuation]:
        """`5 +` of a seed that ends in 5 at temperature 1; colder `5 *`."""
        texts = [f"{r.seed % 10} {'*' if temperature < 1 else '+'}" for r in requests]
        tokens = [self.renderer.encode(text) for text in texts]
        return [Continuation(t, [-1.0] * len(t), is_ended=False) for t in tokens]


def sit(folder: Path, temperatures: list[float]) -> list[dict[str, Any]]:
    """The answers of an exam on two problems."""
    form = load_format(load(ROOT / "params.yaml").task)
    renderer = Renderer(form.tokenizer([]))
    changes = {"temperatures": temperatures, "budgets_tokens": [0, 9], "shard_rollouts": 3}
    settings = EXAM.model_copy(update=changes)
    work = [(PROBLEMS[place], index) for place in (0, 1) for index in range(2)]
    answering = Answering(renderer.cue_tokens(marks_of(form)), EXAM.answer_tokens)
    engine: OneEngine[Sampler] = OneEngine(Echo(renderer))
    kept = examine.sit("r0", engine, work, settings, answering, renderer, folder)
    return [*merge_rows((shard / examine.ANSWERS_FOLDER for shard in kept), ANSWERS)]


def test_a_temperature_is_sat_alike_whatever_the_others_are(tmp_path: Path) -> None:
    """Seeds are the same at each, so a temperature of 1 alone gives what it gave before."""
    alone, both = sit(tmp_path / "alone", [1.0]), sit(tmp_path / "both", [1.0, 0.35])
    assert len(alone) == 2 * 2 * 2
    assert len({row["answer"] for row in alone}) > 2
    assert [row for row in both if row["temperature"] == 1.0] == alone
    cold = [row for row in both if row["temperature"] < 1]
    assert {row["temperature"] for row in cold} == {float(np.float32(0.35))}
    warm = {"temperature": 1.0}
    assert [{**row, "answer": row["answer"].replace("*", "+"), **warm} for row in cold] == alone
    assert sit(tmp_path / "both", [1.0, 0.35]) == both  # of what is kept

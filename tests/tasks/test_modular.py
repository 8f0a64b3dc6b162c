"""The negative control: products, text, verifier, and no progress where nothing is learnt."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from stages.contracts.format import closing_marker, without_marker
from stages.contracts.params.inits.demonstrations import DirectDemonstrations, ReviseDemonstrations
from stages.contracts.params.task import ModularTask, ModularTier
from stages.contracts.render import Renderer
from stages.contracts.verdict import Verdict
from stages.pure.information import progress, sampled_success, set_success
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from stages.tasks.marks import HIT, MISS
from stages.tasks.modular import Modular
from stages.tasks.sources import load_source
from stages.tasks.task import Problem, StrategySettings
from stages.verifiers.registry import load_verifier

MODULUS = 23
PARAMS = ModularTask(
    name="modular",
    seed=7,
    modulus=MODULUS,
    heldout_bucket=0,
    tiers=[
        ModularTier(num_factors=2, num_train=60, num_heldout=6, num_reserved=0),
        ModularTier(num_factors=3, num_train=100, num_heldout=10, num_reserved=0),
    ],
)
REVISE = ReviseDemonstrations(
    strategy="revise",
    num_demos=300,
    immediate_answer_frac=0.2,
    planned_hit_frac=0.3,
    max_planned_attempts=6,
    max_attempts=8,
    give_up_fracs=[0.05, 0.3],
    wrong_answer_frac=0.5,
    candidates_per_attempt=[1],
)
FORMAT = load_format(PARAMS)
VERIFIER = load_verifier(PARAMS)
SOURCE = Modular(PARAMS)
NUM_ATTEMPTS, NUM_PROBES = 4, 4
TRUST, CLAIM = 0.9, 0.2
"""How often an attempt called right is answered, and how often an attempt is called right."""


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return list(SOURCE.problems())


def train(problems: list[Problem]) -> list[Problem]:
    return [p for p in problems if p.split == "train"]


def segments(thinking: str) -> list[str]:
    words = thinking.split()
    return [" ".join(words[at : at + 2]) for at in range(0, len(words), 2)]


def test_three_factors_by_hand() -> None:
    problem = Problem(
        "p", "train", 3, "<bos> 3 * 5 * 7 mod 23 :", "13", {"factors": [3, 5, 7], "modulus": 23}, 0
    )
    assert 3 * 5 * 7 == 4 * 23 + 13
    assert SOURCE.solutions(problem) == ["13"]
    assert VERIFIER.verify(problem.metadata, "13") is Verdict.CORRECT
    assert VERIFIER.verify_attempt(problem.metadata, "13") is Verdict.CORRECT
    assert VERIFIER.verify_attempt(problem.metadata, "12") is Verdict.INCORRECT


def test_there_are_as_many_problems_as_asked_for_and_no_twins(problems: list[Problem]) -> None:
    sizes = {(2, "train"): 60, (2, "heldout"): 6, (3, "train"): 100, (3, "heldout"): 10}
    assert Counter((p.difficulty, p.split) for p in problems) == sizes
    assert len({tuple(sorted(p.metadata["factors"])) for p in problems}) == len(problems)
    other = Modular(PARAMS.model_copy(update={"seed": 8}))
    heldout = {tuple(sorted(p.metadata["factors"])) for p in problems if p.split == "heldout"}
    assert not heldout & {
        tuple(sorted(p.metadata["factors"])) for p in train(list(other.problems()))
    }
    assert list(load_source(PARAMS).problems()) == problems


def test_each_problem_has_one_solution_which_is_its_answer(problems: list[Problem]) -> None:
    for problem in problems:
        correct = [
            r
            for r in range(MODULUS)
            if VERIFIER.verify(problem.metadata, str(r)) is Verdict.CORRECT
        ]
        assert [str(r) for r in correct] == SOURCE.solutions(problem) == [problem.answer]


def test_more_problems_than_there_are_is_bad_input() -> None:
    small = PARAMS.model_copy(
        update={
            "modulus": 5,
            "tiers": [ModularTier(num_factors=2, num_train=7, num_heldout=1, num_reserved=0)],
        }
    )
    with pytest.raises(BadInput, match="no more distinct problems with 2 factors below 5"):
        list(Modular(small).problems())


@pytest.mark.parametrize("shape", [REVISE, DirectDemonstrations(strategy="direct", num_demos=300)])
def test_demonstrations_say_the_truth_and_cover_every_word(
    problems: list[Problem], shape: Any
) -> None:
    by_id = {p.problem_id: p for p in train(problems)}
    shown: list[StrategySettings] = list(SOURCE.demonstrations(train(problems), shape, 1))
    assert shown == list(SOURCE.demonstrations(train(problems), shape, 1))
    renderer = Renderer(FORMAT.tokenizer([]))
    marks = Counter()
    for demonstration in shown:
        problem = by_id[demonstration.problem_id]
        thinking, _, answer = demonstration.text.rpartition(FORMAT.cue)
        assert (
            VERIFIER.verify(problem.metadata, answer) is Verdict.CORRECT
        ) == demonstration.is_correct
        assert len(segments(thinking)) == demonstration.num_segments
        for segment in segments(thinking):
            mark = closing_marker(segment, FORMAT.segment_ends)
            marks[mark] += 1
            is_right = (
                VERIFIER.verify_attempt(
                    problem.metadata, without_marker(segment, FORMAT.segment_ends)
                )
                is Verdict.CORRECT
            )
            assert FORMAT.self_verdicts[mark] == is_right
        text = f"{problem.prompt} {demonstration.text}"
        assert renderer.words(renderer.encode(text)) == text.split()
    assert set(marks) == ({HIT, MISS} if shape is REVISE else set())
    assert {d.is_correct for d in shown} == ({True, False} if shape is REVISE else {True})


def answer_distribution(prefix: list[tuple[int, str]]) -> np.ndarray:
    """P(residue answered | prefix) of a policy that believes its own verdicts.

    Nearly always the attempt it last called right; without one, any residue it has not called
    wrong.
    """
    called_right = [residue for residue, mark in prefix if mark == HIT]
    if called_right:
        probability = np.full(MODULUS, (1 - TRUST) / MODULUS)
        probability[called_right[-1]] += TRUST
        return probability
    open_ = np.ones(MODULUS)
    open_[[residue for residue, _ in prefix]] = 0
    return open_ / open_.sum()


def stream(verdict: Callable[[int], str], rng: random.Random) -> Iterator[list[tuple[int, str]]]:
    """The prefix at every boundary of one completion."""
    prefix: list[tuple[int, str]] = []
    yield prefix
    for residue in rng.sample(range(MODULUS), NUM_ATTEMPTS):
        prefix = [*prefix, (residue, verdict(residue))]
        yield prefix


def exact_success(
    problem: Problem, prefix: list[tuple[int, str]], rng: np.random.Generator
) -> float:
    del rng
    probability = answer_distribution(prefix)
    with np.errstate(divide="ignore"):
        return set_success(
            np.log([probability[int(solution)] for solution in SOURCE.solutions(problem)])
        )


def forced_success(
    problem: Problem, prefix: list[tuple[int, str]], rng: np.random.Generator
) -> float:
    answers = rng.choice(MODULUS, size=NUM_PROBES, p=answer_distribution(prefix))
    rewards = [VERIFIER.verify(problem.metadata, str(answer)).reward for answer in answers]
    return sampled_success(np.array(rewards, dtype=float))


def gains(
    problems: list[Problem], estimate: Any, knows: bool, num_streams: int = 1500
) -> np.ndarray:
    """Progress of each attempt, a row a completion."""
    draws, probes = random.Random(3), np.random.default_rng(3)
    rows = []
    for _ in range(num_streams):
        problem = draws.choice(problems)

        def verdict(residue: int, answer: int = int(problem.answer)) -> str:
            if knows:
                return HIT if residue == answer else MISS
            return HIT if draws.random() < CLAIM else MISS

        rows.append(
            progress(np.array([estimate(problem, p, probes) for p in stream(verdict, draws)]))
        )
    return np.array(rows)


def mean_and_stderr(per_stream: np.ndarray) -> tuple[float, float]:
    return float(per_stream.mean()), float(per_stream.std(ddof=1) / np.sqrt(len(per_stream)))


def test_who_cannot_verify_gains_exactly_nothing_by_an_attempt() -> None:
    """Over all residues and both verdicts, by hand: success is 1/m before, and on average after.

    Clipped at zero the same attempt pays: where it is called right and is, and where it is called
    wrong and is not.
    """
    truth = 11
    before = answer_distribution([])[truth]
    assert before == pytest.approx(1 / MODULUS)
    clipped = {}
    for mark in (HIT, MISS):
        deltas = np.array(
            [answer_distribution([(r, mark)])[truth] - before for r in range(MODULUS)]
        )
        assert deltas.mean() == pytest.approx(0, abs=1e-15)
        clipped[mark] = np.maximum(0, deltas).mean()
    assert clipped[HIT] == pytest.approx(TRUST * (1 - 1 / MODULUS) / MODULUS)
    assert clipped[MISS] == pytest.approx(
        (MODULUS - 1) / MODULUS * (1 / (MODULUS - 1) - 1 / MODULUS)
    )


@pytest.mark.parametrize("estimate", [exact_success, forced_success])
def test_no_spurious_gain(problems: list[Problem], estimate: Any) -> None:
    gained = gains(problems, estimate, knows=False)
    mean, stderr = mean_and_stderr(gained.mean(axis=1))
    assert abs(mean) < 3 * stderr
    assert stderr < 0.003
    clipped, clipped_stderr = mean_and_stderr(np.maximum(0, gained).mean(axis=1))
    assert clipped > 5 * clipped_stderr  # the trap: useless attempts would be paid


@pytest.mark.parametrize("estimate", [exact_success, forced_success])
def test_who_can_verify_does_gain(problems: list[Problem], estimate: Any) -> None:
    mean, stderr = mean_and_stderr(gains(problems, estimate, knows=True).mean(axis=1))
    assert mean > 5 * stderr


def test_reserved_problems_change_no_other(problems: list[Problem]) -> None:
    tiers = [tier.model_copy(update={"num_reserved": 4}) for tier in PARAMS.tiers]
    more = list(Modular(PARAMS.model_copy(update={"tiers": tiers})).problems())
    assert [p for p in more if p.split != "reserved"] == problems
    assert Counter(p.difficulty for p in more if p.split == "reserved") == {2: 4, 3: 4}

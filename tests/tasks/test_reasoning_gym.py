"""Any reasoning-gym family as text: source, tokenizer and verifier, together and alone."""

import json
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contracts.params.inits.demonstrations import DirectDemonstrations
from stages.contracts.params.task import ReasoningGymTask, ReasoningGymTier, TrainedText
from stages.contracts.render import Renderer
from stages.contracts.verdict import Verdict
from stages.running.errors import BadInput
from stages.tasks.families import is_formula, load_dataset, pack, unpack
from stages.tasks.formats import load_format
from stages.tasks.reasoning_gym import ReasoningGym
from stages.tasks.rows import problem_row
from stages.tasks.task import Problem
from stages.verifiers.isolated import Submission, open_verifiers
from stages.verifiers.reasoning_gym import ReasoningGymVerifier

TEXT = TrainedText(kind="trained", vocabulary_size=400)
FAMILIES = (
    "chain_sum",  # arithmetic
    "spell_backward",  # letters
    "knights_knaves",  # logic, in prose
    "simple_integration",  # judged by sympy
    "n_queens",  # many correct answers, on several lines; evaluates text for partial credit
    "arc_1d",  # tuples in the entry
    "emoji_mystery",  # far from ASCII
    "figlet_font",  # drawings with rows of #
)
QUICK = settings(derandomize=True, deadline=None, max_examples=60, database=None)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.integers() | st.tuples(st.integers(), st.text())
ENTRIES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)


def task(family: str, num_train: int = 12, num_heldout: int = 3, **config: Any) -> ReasoningGymTask:
    tier = ReasoningGymTier(
        difficulty=4, num_train=num_train, num_heldout=num_heldout, num_reserved=0, config=config
    )
    return ReasoningGymTask(name="reasoning_gym", family=family, seed=5, text=TEXT, tiers=[tier])


def stored(problem: Problem) -> Any:
    """The metadata as it comes back from the table."""
    return json.loads(problem_row("reasoning_gym", problem)["metadata"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_goes_through_source_tokenizer_and_verifier(family: str) -> None:
    params = task(family)
    source, verifier = ReasoningGym(params), ReasoningGymVerifier(params)
    problems = list(source.problems())
    assert Counter(p.split for p in problems) == {"train": 12, "heldout": 3}
    assert len({p.problem_id for p in problems}) == len({p.prompt for p in problems}) == 15
    assert list(ReasoningGym(params).problems()) == problems

    demonstrations = list(
        source.demonstrations(problems, DirectDemonstrations(strategy="direct", num_demos=20), 1)
    )
    text_format = load_format(params)
    renderer = Renderer(text_format.tokenizer([p.prompt for p in problems]))
    by_id = {p.problem_id: p for p in problems}
    for demonstration in demonstrations:
        problem = by_id[demonstration.problem_id]
        tokens = renderer.encode(problem.prompt)
        assert renderer.decode(tokens) == problem.prompt.removeprefix("<bos>")
        completion = renderer.encode(demonstration.text)
        assert renderer.encode(problem.prompt + demonstration.text) == tokens + completion
        [cue] = renderer.encode(text_format.cue)
        assert completion.index(cue) == 0
        answer = renderer.decode(completion[1:])
        assert verifier.verify(stored(problem), answer) is Verdict.CORRECT
        assert verifier.verify(stored(problem), "no answer") in (
            Verdict.INCORRECT,
            Verdict.UNPARSABLE,
        )
        assert verifier.verify(stored(problem), " \n") is Verdict.UNPARSABLE
        assert verifier.verify_attempt(stored(problem), answer) is None


def test_a_question_keeps_its_split_under_another_seed() -> None:
    params = task("chain_sum", 200, 20, min_terms=2, max_terms=2, min_digits=1, max_digits=2)
    other = params.model_copy(update={"seed": 6})
    one, two = (list(ReasoningGym(p).problems()) for p in (params, other))
    assert one != two
    train = {p.prompt for p in one if p.split == "train"}
    assert not train & {p.prompt for p in two if p.split == "heldout"}


def test_a_tenth_is_reserved_where_any_tier_asks_for_it() -> None:
    """Which tenth is held out stays; the reserved one no tier trains on."""
    small = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}
    params = task("chain_sum", 200, 20, **small)
    [tier] = params.tiers
    other = ReasoningGymTier(
        difficulty=5, num_train=100, num_heldout=1, num_reserved=3, config=small
    )
    plain = list(ReasoningGym(params).problems())
    several = params.model_copy(update={"tiers": [tier, other]})
    problems = list(ReasoningGym(several).problems())
    assert Counter((p.difficulty, p.split) for p in problems)[5, "reserved"] == 3
    heldout = [p for p in plain if p.split == "heldout"]
    assert [p for p in problems if p.split == "heldout" and p.difficulty == 4] == heldout
    seeded = several.model_copy(update={"seed": 6})
    reserved = {p.problem_id for p in ReasoningGym(seeded).problems() if p.split == "reserved"}
    assert not reserved & {p.problem_id for p in problems if p.split == "train"}


def test_tiers_share_no_question_and_are_judged_by_their_own_config() -> None:
    easy = ReasoningGymTier(
        difficulty=0,
        num_train=30,
        num_heldout=2,
        num_reserved=0,
        config={"min_terms": 2, "max_terms": 2},
    )
    hard = ReasoningGymTier(
        difficulty=1,
        num_train=30,
        num_heldout=2,
        num_reserved=0,
        config={"min_terms": 2, "max_terms": 3},
    )
    params = task("chain_sum").model_copy(update={"tiers": [easy, hard]})
    problems = list(ReasoningGym(params).problems())
    assert Counter(p.difficulty for p in problems) == {0: 32, 1: 32}
    assert len({p.problem_id for p in problems}) == 64
    verifier = ReasoningGymVerifier(params)
    assert {verifier.verify(stored(p), p.answer) for p in problems} == {Verdict.CORRECT}


def test_no_demonstration_comes_again_before_every_other_has_come() -> None:
    source = ReasoningGym(task("chain_sum"))
    problems = list(source.problems())
    settings = DirectDemonstrations(strategy="direct", num_demos=37)
    one, two, other = (list(source.demonstrations(problems, settings, seed)) for seed in (1, 1, 2))
    assert one == two
    assert one != other
    assert sorted(set(Counter(d.problem_id for d in one).values())) == [2, 3]
    assert len({d.problem_id for d in one[:15]}) == 15


def test_demonstrations_come_by_weight_of_their_difficulty() -> None:
    tiers = [
        ReasoningGymTier(
            difficulty=level,
            num_train=20,
            num_heldout=1,
            num_reserved=0,
            config={"min_terms": 2, "max_terms": 2 + level},
        )
        for level in (0, 1)
    ]
    source = ReasoningGym(task("chain_sum").model_copy(update={"tiers": tiers}))
    problems = [p for p in source.problems() if p.split == "train"]
    level_of = {p.problem_id: p.difficulty for p in problems}
    settings = DirectDemonstrations(
        strategy="direct", num_demos=600, difficulty_weights={0: 1.0, 1: 3.0}
    )
    shown = list(source.demonstrations(problems, settings, 1))
    assert Counter(level_of[d.problem_id] for d in shown)[1] / 600 == pytest.approx(0.75, abs=0.05)
    only = settings.model_copy(update={"difficulty_weights": {1: 1.0}})
    assert {level_of[d.problem_id] for d in source.demonstrations(problems, only, 1)} == {1}


def test_partial_credit_does_not_count() -> None:
    params = task("basic_arithmetic")
    problem = next(ReasoningGym(params).problems())
    answer = f"x {problem.answer}"
    dataset = load_dataset(params, params.tiers[0], size=1)
    assert 0 < dataset.score_answer(answer, unpack(stored(problem)["entry"])) < 1
    assert ReasoningGymVerifier(params).verify(stored(problem), answer) is Verdict.INCORRECT


def test_partial_credit_is_paid_where_it_is_asked_for() -> None:
    params = task("basic_arithmetic").model_copy(update={"partial_credit": True})
    problem = next(ReasoningGym(params).problems())
    answers = [problem.answer, f"x {problem.answer}", "x"]
    dataset = load_dataset(params, params.tiers[0], size=1)
    right, part, nothing = (
        dataset.score_answer(answer, unpack(stored(problem)["entry"])) for answer in answers
    )
    assert right == 1 > part > nothing
    requests = [Submission(problem, answer, is_attempt=False) for answer in answers]
    with open_verifiers(params) as pool:
        assert pool.verify(requests) == [
            (Verdict.CORRECT, 1.0),
            (Verdict.INCORRECT, part),
            (Verdict.INCORRECT, nothing),
        ]


@pytest.mark.parametrize(
    ("family", "why"), [("n_queens", "run the answer"), ("coin_flip", "wrong answers for right")]
)
def test_partial_credit_is_refused_where_the_scorer_cannot_give_it(family: str, why: str) -> None:
    params = task(family).model_copy(update={"partial_credit": True})
    with pytest.raises(
        BadInput, match=f"task.partial_credit: family {family} has none: .*{why}.*leave"
    ):
        next(ReasoningGym(params).problems())


def test_an_answer_is_not_evaluated() -> None:
    params = task("n_queens")
    problem = next(ReasoningGym(params).problems())
    verifier = ReasoningGymVerifier(params)
    assert (
        verifier.verify(stored(problem), "__import__('sys').modules.update(evaluated=1)")
        is Verdict.INCORRECT
    )
    assert "evaluated" not in sys.modules


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x**2/2 + C", True),
        ("-3*sin(2*x) + exp(x)/4", True),
        ("(6 / 2) * 8", True),
        ("Integral(x**2, x)", False),  # the question as its own answer
        ("exec(x)", False),
        ("open('x')", False),
        ("x.func", False),
        ("a_b", False),
        ("√4", False),
        ("x" * 3000, False),
    ],
)
def test_only_formulas_reach_the_parser(text: str, expected: bool) -> None:
    assert is_formula(text) is expected


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (task("chain_sums"), r"no family chain_sums; choose from \['chain_sum', "),
        (task("composite"), "no family composite"),
        (
            task("chain_sum", min_term=2),
            r"difficulty 4: family chain_sum has no key min_term; choose from \['min_terms'",
        ),
        (task("chain_sum", seed=2), "has no key seed"),
        (task("chain_sum", min_terms=0), "refuses this config: min_terms must be positive"),
        (task("chain_sum", min_terms="two"), "refuses this config"),
        (
            task("rush_hour"),
            r"gave 0 distinct questions .* still missing 12 train, 3 heldout and 0 reserved",
        ),
        (
            task("chain_sum", 5000, 1, min_terms=2, max_terms=2, min_digits=1, max_digits=1),
            r"gave \d+ distinct questions .* still missing \d+ train, 0 heldout and 0 reserved",
        ),
    ],
)
def test_what_is_wrong_and_what_would_be_right(params: ReasoningGymTask, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        list(ReasoningGym(params).problems())


@pytest.mark.skipif(not sys.flags.hash_randomization, reason="PYTHONHASHSEED is fixed")
def test_a_family_that_follows_the_hash_seed_asks_for_a_fixed_one() -> None:
    with pytest.raises(BadInput, match="PYTHONHASHSEED=0"):
        next(ReasoningGym(task("word_ladder")).problems())


def test_solutions_cannot_be_enumerated() -> None:
    source = ReasoningGym(task("chain_sum"))
    assert source.solutions(next(source.problems())) == []


@QUICK
@given(ENTRIES)
def test_an_entry_comes_back_from_json_as_it_was(entry: Any) -> None:
    assert unpack(json.loads(json.dumps(pack(entry), sort_keys=True))) == entry


def test_an_entry_that_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="set is no JSON"):
        pack({"a": {1, 2}})

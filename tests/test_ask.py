"""One question to a policy: which problem it is, what is known of it, and what is refused."""

import pytest

from fixtures.checkouts import PROFILES
from stages.ask import as_prompt, find_problem, known_answers, need_known_words
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from stages.tasks.task import Problem

COUNTDOWN = load(PROFILES / "tiny.yaml").task
TEXT = load(PROFILES / "reasoning_gym.yaml").task
SUM = Problem("chain_sum:1", "train", 0, "State 1 + 2 =", "3", {}, 0)


def test_a_countdown_is_asked_in_short_and_all_its_answers_are_known() -> None:
    problem = find_problem(COUNTDOWN, [], " 2  3 T6 ")
    assert problem.prompt == "<bos> 2 3 T6 :"
    assert problem.metadata == {"numbers": [2, 3], "target": 6}
    assert known_answers(COUNTDOWN, problem) == ["3 * 2 6"]
    assert find_problem(COUNTDOWN, [], "<bos> 2 3 T6 :") == problem


def test_a_problem_of_the_table_is_found_by_its_text() -> None:
    assert find_problem(TEXT, [SUM], "State 1 + 2 = ") == SUM
    assert known_answers(TEXT, SUM) == ["3"]
    assert find_problem(TEXT, [SUM], "State 1 + 3 =") is None
    assert known_answers(TEXT, None) == []


def test_words_that_the_policy_lacks_are_refused() -> None:
    form = load_format(COUNTDOWN)
    renderer = Renderer.made_here(form.tokenizer([]), form.prompting)
    known = as_prompt(COUNTDOWN, "2 3 T6")
    need_known_words(COUNTDOWN, renderer, known, renderer.prompt_tokens(known))
    foreign = as_prompt(COUNTDOWN, "2 3 make 6")
    with pytest.raises(BadInput, match="no word 'make'"):
        need_known_words(COUNTDOWN, renderer, foreign, renderer.prompt_tokens(foreign))
    with pytest.raises(BadInput, match="is empty"):
        as_prompt(TEXT, "  ")

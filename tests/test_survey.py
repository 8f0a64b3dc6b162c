"""How much of a source a tier asks for, and how long its texts are."""

from hypothesis import given
from hypothesis import strategies as st

from stages.survey import lengths, sizes
from stages.tasks.task import Problem


def test_a_tier_asks_for_less_than_its_share() -> None:
    # 400: 320 - 2 * 8 of the train split, 40 - 2 * 6 held out
    assert sizes(400) == {"num_train": 304, "num_heldout": 28, "num_reserved": 0}


@given(st.integers(0, 10**6))
def test_a_tier_is_never_empty_and_never_all(num_questions: int) -> None:
    asked = sizes(num_questions)
    assert 1 <= asked["num_train"] <= max(1, 0.8 * num_questions)
    assert 1 <= asked["num_heldout"] <= max(1, 0.1 * num_questions)


def test_lengths_are_of_bytes_and_solutions_count_where_all_have_one() -> None:
    first = Problem("a", "train", 1, "½?", "12", {"solution": "abc"}, 0)
    second = Problem("b", "train", 1, "abc", "1", {}, 0)
    found = lengths([first, second])
    assert found["question_characters"] == found["question_bytes"] == 3
    assert (found["answer_bytes"], found["solution_bytes"]) == (2, 3)
    assert not found["has_solutions"]
    assert lengths([first])["has_solutions"]

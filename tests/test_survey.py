"""How much of a source a tier asks for, and how long its texts are."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stages.survey import lengths, sizes
from stages.tasks.task import Problem


def test_a_tier_asks_for_what_its_splits_have() -> None:
    counts = Counter({(0, "train"): 92, (0, "heldout"): 8, (1, "train"): 5000})
    assert sizes(counts, 0, 1.0) == {"num_train": 92, "num_heldout": 8, "num_reserved": 0}
    assert sizes(counts, 0, 0.5) == {"num_train": 46, "num_heldout": 4, "num_reserved": 0}
    assert sizes(counts, 1, 1.0) == {"num_train": 1600, "num_heldout": 1, "num_reserved": 0}


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0.1, 1))
def test_a_tier_is_never_empty_and_never_more(train: int, heldout: int, share: float) -> None:
    asked = sizes(Counter({(3, "train"): train, (3, "heldout"): heldout}), 3, share)
    assert 1 <= asked["num_train"] <= max(1, train)
    assert 1 <= asked["num_heldout"] <= max(1, heldout)


def test_lengths_are_of_bytes_and_solutions_count_where_all_have_one() -> None:
    first = Problem("a", "train", 1, "½?", "12", {"solution": "abc"}, 0)
    second = Problem("b", "train", 1, "abc", "1", {}, 0)
    found = lengths([first, second])
    assert found["question_characters"] == found["question_bytes"] == 3
    assert (found["answer_bytes"], found["solution_bytes"]) == (2, 3)
    assert not found["has_solutions"]
    assert lengths([first])["has_solutions"]

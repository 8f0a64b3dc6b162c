"""When two readings are one answer, and when order matters."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.verifiers.mathematics.answers import read
from stages.verifiers.mathematics.equality import is_same

ANSWERS = [
    *("4", "-4", "1/2", "x", "2x+1", "5 m", "5 cm", "28%", "yes", "no", "on", "2024-01-11", "1:30"),
    *("5-10", "10-15", "2:3", "2:3:5", "(1,2)", "(2,1)", "[1,2]", r"\{1,2,3\}", "1, 3", "x>2"),
    *(r"x\geq 2", r"\emptyset", "x^2+y^2=1", "x^2>1", r"\begin{pmatrix}1&2\end{pmatrix}", "100_2"),
    *("4'000", "1e-7", "1e-8", r"\sqrt{2}", r"\pi", "30^\\circ", "$7", "[1,2,3]", "(A)", "B"),
]


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_itself(text: str) -> None:
    reading = read(text)
    assert reading is not None
    assert is_same(reading, reading)


def test_no_two_of_many_are_one() -> None:
    readings = {text: read(text) for text in ANSWERS}
    equal = [
        (one, other)
        for one, other in itertools.permutations(ANSWERS, 2)
        if is_same(readings[one], readings[other])  # type: ignore[arg-type]
    ]
    assert {frozenset(pair) for pair in equal} == {frozenset(("4", "100_2"))}


@settings(deadline=None)
@given(st.lists(st.integers(-99, 99), min_size=2, max_size=5), st.randoms())
def test_a_set_has_no_order_and_a_point_has(values: list[int], rng: object) -> None:
    shuffled = [*values]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    lists = [", ".join(map(str, order)) for order in (values, shuffled)]
    sets, points = ([read(form.format(text)) for text in lists] for form in (r"\{{{}\}}", "[{}]"))
    assert sets[0]
    assert sets[1]
    assert points[0]
    assert points[1]
    assert is_same(sets[0], sets[1])
    assert is_same(points[0], points[1]) == (values == shuffled)

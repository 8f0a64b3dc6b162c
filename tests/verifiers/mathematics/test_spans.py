"""Which part of a text is its answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.verifiers.mathematics.spans import answer_span
from stages.verifiers.mathematics.units import KNOWN_UNIT

FORMS = st.sampled_from(
    ["${}$", "$${}$$", r"\({}\)", r"\[{}\]", r"\boxed{{{}}}", r"$\boxed{{{}}}$"]
)


@settings(deadline=None)
@given(st.lists(st.tuples(FORMS, st.integers(0, 999)), min_size=1, max_size=5))
def test_the_last_counts(spans: list[tuple[str, int]]) -> None:
    text = " so ".join(form.format(value) for form, value in spans)
    assert answer_span(text, KNOWN_UNIT) == str(spans[-1][1])


@pytest.mark.parametrize(
    ("text", "span"),
    [
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"$x = \boxed{3}$", "3"),
        (r"\boxed{4}. So the answer is $5$", "5"),
        (r"\boxed{4} is what I say", "4"),
        (r"\boxed{28}\%", r"28\%"),
        ("$28$%", r"28\%"),
        ("$5$ cm", r"5 \text{ cm }"),
        ("$4", "$4"),
        ("The answer is 4.", "4"),
        ("Answer: 4", "4"),
        ("#### 4", "4"),
        ("5 p.m.", "5 p.m."),
        (r"\boxed{4} or 5", None),
        (r"\boxed{4} is wrong", None),
        (r"\boxed{4}+1", None),
        ("not $4$", None),
    ],
)
def test_what_belongs_to_an_answer(text: str, span: str | None) -> None:
    assert answer_span(text, KNOWN_UNIT) == span

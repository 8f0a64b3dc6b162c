"""Numbers as pages show them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reading import words


def test_numbers_gains_and_chances() -> None:
    assert [*map(words.number, (None, 1234567, 0.25, -0.5, True, "x"))] == [
        *("–", "1,234,567", "0.25", "−0.5", "True", "x"),
    ]
    assert [*map(words.signed, (None, 0.5, -0.125))] == ["–", "+0.500", "−0.125"]
    assert words.chance(math.log(0.25)) == "0.25"


def test_gains_are_green_losses_purple_and_nothing_neither() -> None:
    assert words.tint(1.0) == "rgba(27, 140, 80, 0.500)"
    assert words.tint(-0.25) == "rgba(128, 60, 150, 0.250)"
    assert words.tint(None) == words.tint(0.0) == "transparent"


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_larger_gain_is_never_fainter(one: float, other: float) -> None:
    def opacity(gain: float) -> float:
        tint = words.tint(gain)
        return 0.0 if tint == "transparent" else float(tint.split()[-1].rstrip(")"))

    if abs(one) <= abs(other):
        assert opacity(one) <= opacity(other)


@pytest.mark.parametrize(
    ("logprob", "opacity"),
    [(0.0, "0.000"), (-2.5, "0.175"), (-50.0, "0.350"), (-math.inf, "0.350")],
)
def test_an_unlikely_token_is_dark(logprob: float, opacity: str) -> None:
    assert words.shade(logprob) == f"rgba(128, 128, 128, {opacity})"


def test_a_token_that_was_given_has_no_shade() -> None:
    assert words.shade(None) == words.shade(math.nan) == "transparent"

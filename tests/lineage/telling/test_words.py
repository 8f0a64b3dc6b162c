"""Numbers as people read them."""

import pytest

from lineage.data.exam import Difference, Estimate
from lineage.telling import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.6321, ".632"), (0.0, ".000"), (1.0, "1.000"), (None, "–")],
)
def test_fractions(value: float | None, text: str) -> None:
    assert words.fraction(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0731, "+.073"), (-0.0731, "−.073"), (-0.0001, ".000"), (1.0, "+1.000"), (None, "–")],
)
def test_differences_have_a_sign(value: float | None, text: str) -> None:
    assert words.difference(value) == text


def test_intervals_say_what_is_not_known() -> None:
    assert words.interval(Estimate(0.664, 0.599, 0.632)) == ".632 [.599, .664]"
    assert words.interval(Estimate(None, None, 0.5)) == ".500 [–, –]"
    assert words.signed_interval(Difference(0.1, -0.1, 0.3)) == "+.100 [−.100, +.300]"
    assert words.interval(None) == words.signed_interval(None) == "–"


def test_digests_and_counts() -> None:
    assert (words.short("0123456789ab"), words.short(None)) == ("01234567", "unknown")
    assert (words.count(1234567), words.count(None)) == ("1,234,567", "unknown")


def test_params_on_one_line() -> None:
    assert words.value({"a": [1, True, "x"], "b": {"c": None}}) == "{a: [1, True, x], b: {c: –}}"

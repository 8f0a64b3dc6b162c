"""Numbers mean what their writing says, and no neighbour."""

from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.verifiers.mathematics.answers import read
from stages.verifiers.mathematics.numerals import Unreadable, exact, meant
from stages.verifiers.mathematics.readings import Value

WHOLES = st.integers(0, 10**9)
PARTS = st.integers(2, 999).flatmap(
    lambda below: st.tuples(st.integers(1, below - 1), st.just(below))
)


def number(text: str) -> Fraction:
    """The rational that an answer is."""
    value = read(text)
    assert isinstance(value, Value), text
    assert isinstance(value.expression, sympy.Rational), text
    return Fraction(int(value.expression.p), int(value.expression.q))


@settings(deadline=None)
@given(WHOLES, PARTS, st.booleans(), st.sampled_from(["{} {}/{}", r"{}\frac{{{}}}{{{}}}"]))
def test_a_mixed_number_is_its_sum_with_one_sign(
    whole: int, part: tuple[int, int], is_negative: bool, form: str
) -> None:
    text = "-" * is_negative + form.format(whole, *part)
    expected = (-1 if is_negative else 1) * (whole + Fraction(*part))
    assert number(text) == expected
    assert (
        number(text) != Fraction(whole * part[0], part[1])
        or whole * part[0] == 0
        or (Fraction(whole * part[0], part[1]) == expected)
    )


@settings(deadline=None)
@given(
    st.integers(1000, 10**15),
    st.sampled_from([",", " ", "_", "'", "{,}", r"\,", "~", "\u202f", "\u00a0", "\u2009", r"\ "]),
)
def test_grouping_digits_never_changes_a_number(value: int, separator: str) -> None:
    assert number(f"{value:,}".replace(",", separator)) == value


@settings(deadline=None)
@given(st.integers(-(10**9), 10**9), st.integers(1, 6))
def test_leading_zeros_change_nothing(value: int, zeros: int) -> None:
    sign, digits = "-" * (value < 0), str(abs(value))
    assert number(sign + "0" * zeros + digits) == value


@settings(deadline=None)
@given(
    st.decimals(-1000, 1000, places=4),
    st.integers(-40, 40),
    st.sampled_from(
        ["{}e{}", "{}E{:+03d}", r"{}\times10^{{{}}}", r"{}\cdot 10^{{{}}}", "{} × 10^{{{}}}"]
    ),
)
def test_scientific_notation_is_a_power_of_ten(value: object, exponent: int, form: str) -> None:
    assert (
        number(form.format(f"{value:f}", exponent))
        == Fraction(str(value)) * Fraction(10) ** exponent
    )


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 36), st.sampled_from(["{}_{{{}}}", "{} base {}"]))
def test_a_numeral_in_a_base_is_its_number(value: int, base: int, form: str) -> None:
    digits, left = "", value
    while left or not digits:
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[left % base] + digits
        left //= base
    text = form.format("0" * (not digits[0].isdigit()) + digits, base)
    assert number(text) == value


@settings(deadline=None)
@given(
    st.integers(0, 99),
    st.from_regex(r"[0-9]{0,3}", fullmatch=True, alphabet="0123456789"),
    st.integers(1, 99),
)
def test_what_repeats_for_ever_is_a_fraction(whole: int, lead: str, period: int) -> None:
    value = number(rf"{whole}.{lead}\overline{{{period}}}")
    assert value == number(f"{whole}.{lead}({period})")
    digits = f"{whole}.{lead}{str(period) * 30}"
    assert 0 <= value - exact(digits) < Fraction(1, 10 ** (20 + len(lead)))


@pytest.mark.parametrize("text", ["9_8", "12_2", "1e999999", "1e-999999", "5_1"])
def test_what_is_no_number_is_not_read(text: str) -> None:
    with pytest.raises(Unreadable):
        meant(text)


@pytest.mark.parametrize(
    "text", ["1 00", "1,00,000", "10 00", "2 3", "2 3/2", "1 2 3", "1_00", "4 500 6"]
)
def test_digits_side_by_side_are_no_number(text: str) -> None:
    assert read(text) is None


def test_a_comma_in_brackets_separates() -> None:
    assert read("(100,200)") != read("100200")
    assert read("(100,200)") == read("(100, 200)")

"""Signs that only look different are one."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stages.verifiers.mathematics.answers import read
from stages.verifiers.mathematics.typography import plain, unspaced, unwrapped

WRAPPINGS = [
    "**{}**",
    "*{}*",
    "__{}__",
    "`{}`",
    "```{}```",
    '"{}"',
    "'{}'",
    "“{}”",
    "${}$",
    r"\({}\)",
]


@settings(deadline=None)
@given(st.integers(0, 10**6), st.lists(st.sampled_from(WRAPPINGS[:8]), max_size=3))
def test_a_wrapping_changes_nothing(value: int, wrappings: list[str]) -> None:
    text = str(value)
    signs = [wrapping[0].replace("“", '"') for wrapping in wrappings]
    assume(len({*signs}) == len(signs))
    for wrapping in wrappings:
        text = wrapping.format(text)
    assert read(text) == read(str(value))


@settings(deadline=None)
@given(st.integers(1, 10**6), st.sampled_from("-−‐‑–—﹣－"))
def test_every_minus_is_one(value: int, minus: str) -> None:
    assert read(f"{minus}{value}") == read(f"-{value}") != read(str(value))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("½", r"\frac{1}{2}"),
        ("２３", "23"),
        ("𝟐", "2"),
        ("x²", "x^{2}"),
        ("10⁻³", "10^{-3}"),
        ("3×4", r"3\times 4"),
        ("√10", r"\sqrt{10}"),
    ],
)
def test_signs_of_print_are_latex(text: str, same: str) -> None:
    assert plain(text) == same


def test_lines_are_kept_apart() -> None:
    assert read("4\n500") is None


@pytest.mark.parametrize("text", ["1\u200b2", "\ufeff12", "12\u200d", "١٢"])
def test_what_nobody_sees_and_other_digits_are_not_read(text: str) -> None:
    assert read(text) is None


def test_spaces_and_styles_of_latex_go() -> None:
    assert unspaced(r"\left( 1\,,\; 2 \right)") == "( 1 , 2 )"
    assert unwrapped(" **`4`**. ") == "4."

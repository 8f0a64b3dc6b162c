"""How numbers are written on the page."""

import pytest

from stages.report.page import points, tint


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0312, "+3.1"),
        (-0.5, "\N{MINUS SIGN}50.0"),
        (0.0001, "0.0"),
        (-0.0001, "0.0"),
        (None, "–"),
    ],
)
def test_points_are_signed_and_zero_is_not(fraction: float | None, text: str) -> None:
    assert points(fraction) == text


def test_tint_grows_with_progress_and_tells_its_sign() -> None:
    def opacity(progress: float) -> float:
        return float(tint(progress).split(",")[-1].rstrip(")"))

    assert opacity(0.0) == 0
    assert 0 < opacity(0.1) < opacity(0.5) < opacity(1.0)
    assert opacity(-0.5) == opacity(0.5)
    assert tint(-0.5) != tint(0.5)

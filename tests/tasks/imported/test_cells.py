"""Cells as text: numbers in full, nothing rounded, nothing that is no number."""

from decimal import Decimal
from typing import Any

import pytest

from stages.tasks.imported.cells import cell_fault, cell_text, level_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" as it is ", " as it is "),
        (5, "5"),
        (2**200, str(2**200)),
        (5.0, "5.0"),
        (1e-07, "0.0000001"),
        (1.5e22, "15000000000000000000000"),
        (-0.0, "0.0"),
        (Decimal("-0"), "0"),
        (Decimal("2.50"), "2.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-3E-2"), "-0.03"),
    ],
)
def test_a_number_is_written_in_full(value: Any, text: str) -> None:
    assert not cell_fault(value)
    assert cell_text(value) == text


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        *[(value, "with neither text nor a number") for value in (None, True, [1], {"a": 1})],
        (b"caf\xe9", "with bytes that are not in UTF-8"),
        (float("nan"), "with no number (NaN)"),
        (float("-inf"), "with no number (-Infinity)"),
        (Decimal("sNaN"), "with no number (sNaN)"),
        (Decimal("1E+999999999"), "with a number of more than 1000 digits"),
        (Decimal("1E-999999999"), "with a number of more than 1000 digits"),
        (10**1000, "with a number of more than 1000 digits"),
    ],
)
def test_what_is_neither_is_told(value: Any, fault: str) -> None:
    assert cell_fault(value) == fault


@pytest.mark.parametrize(
    ("value", "level"),
    [
        *[(value, "5") for value in (5, 5.0, Decimal("5.00"), Decimal("5"), "5", " 5\n")],
        (Decimal("50"), "50"),
        (Decimal("5E+1"), "50"),
        (3.5, "3.5"),
        (-0.0, "0"),
        ("5.0", "5.0"),
    ],
)
def test_a_whole_number_is_one_level_however_it_is_stored(value: Any, level: str) -> None:
    assert level_text(value) == level

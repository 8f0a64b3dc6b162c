"""The line of success by boundary."""

import re
from xml.etree import ElementTree

from reading.plot import curve


def test_every_boundary_is_a_point_with_its_value_in_words() -> None:
    drawn = str(curve((0.125, None, 1.0)))
    ElementTree.fromstring(drawn)
    labels = re.findall(r'aria-label="(boundary: [^"]*)"', drawn)
    assert set(labels) >= {"boundary: 0; J: 0.125", "boundary: 2; J: 1"}
    assert "<script" not in drawn


def test_none_is_drawn_of_nothing() -> None:
    ElementTree.fromstring(str(curve(())))

"""Line panels: equal numbers give equal bytes, ids stay apart, and gaps and zero are seen."""

import re
import subprocess
import sys

import pytest

from fixtures.checkouts import ROOT
from stages.figures.line_panels import Axes, Line, draw
from stages.figures.looks import Look

LOOK = Look("#0072B2", "s")
AXES = Axes("thinking budget, tokens", "success", is_fraction=True)
LINE = Line(LOOK, [0, 8, 16], [0.1, 0.2, 0.4], [0.0, 0.1, 0.3], [0.2, 0.3, 0.5])
PROGRAM = """
from stages.figures.line_panels import Axes, Line, draw
from stages.figures.looks import Look
print(draw("one", Axes("x", "y"), [Line(Look("#0072B2", "s"), [0, 1], [0.5, 0.25])]), end="")
"""


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_bytes_do_not_depend_on_the_process(hash_seed: str) -> None:
    line = Line(LOOK, [0, 1], [0.5, 0.25])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == draw("one", Axes("x", "y"), [line])


def test_a_panel_is_one_element_that_follows_the_page() -> None:
    svg = draw("one", AXES, [LINE])
    assert svg.startswith("<svg")
    assert svg.rstrip().endswith("</svg>")
    assert "var(--ink)" in svg
    assert "#010101" not in svg
    assert not re.search(r"<style|<metadata|<\?xml|20\d\d-", svg)


def test_ids_of_two_panels_stay_apart_and_all_are_used() -> None:
    one, other = (draw(name, AXES, [LINE]) for name in ("one", "other"))
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, ids_of_svg in zip((one, other), ids, strict=True):
        assert ids_of_svg == set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))


def test_values_below_zero_show_where_zero_is() -> None:
    above = draw("one", Axes("x", "y"), [Line(LOOK, [0, 1], [0.5, 0.25])])
    below = draw("one", Axes("x", "y"), [Line(LOOK, [0, 1], [0.5, -0.25])])
    assert below.count("<path") > above.count("<path")


def test_budgets_are_the_ticks() -> None:
    svg = draw("one", AXES._replace(budgets=[0, 8, 16], mark=8), [LINE])
    assert re.findall(r">(\d+)</text>", svg)[:3] == ["0", "8", "16"]

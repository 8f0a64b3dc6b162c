"""Line panels as inline SVG.

No fonts, dates or ids of the machine are in them, so equal numbers give equal bytes.
"""

import re
from collections.abc import Sequence
from io import StringIO
from typing import NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes as Drawing
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from stages.figures.looks import Look

# Stand-ins that become CSS variables, so that a panel follows the page into the dark.
INK, FAINT = "#010101", "#020202"
VARIABLES = {INK: "var(--ink)", FAINT: "var(--line)"}
SIZE_INCHES = (4.3, 2.75)
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "axes.edgecolor": FAINT,
    "grid.color": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
}


class Line(NamedTuple):
    """One line of a panel. `lows` and `highs` bound its band, empty for none; NaN leaves a gap."""

    look: Look
    xs: Sequence[float]
    ys: Sequence[float]
    lows: Sequence[float] = ()
    highs: Sequence[float] = ()
    is_dashed: bool = False
    has_markers: bool = True


class Axes(NamedTuple):
    """What a panel's axes say.

    `budgets` makes a doubling scale with these ticks, whatever they count; `mark` is the budget
    trained at.
    """

    x_label: str
    y_label: str
    is_fraction: bool = False
    budgets: Sequence[float] = ()
    mark: int | None = None


def draw(name: str, axes: Axes, lines: Sequence[Line]) -> str:
    """One panel as an SVG element that fills its container.

    `name` keeps its ids apart from other panels'.
    """
    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        drawing = figure.add_subplot()
        for line in lines:
            _draw_line(drawing, line)
        _set_axes(drawing, axes)
        _set_range(drawing, lines)
        stream = StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    return _inline(stream.getvalue(), f"{axes.y_label} by {axes.x_label}")


def _draw_line(drawing: Drawing, line: Line) -> None:
    drawing.plot(
        line.xs,
        line.ys,
        color=line.look.color,
        marker=line.look.marker if line.has_markers else "",
        linestyle="--" if line.is_dashed else "-",
    )
    if line.lows:
        drawing.fill_between(
            line.xs, line.lows, line.highs, color=line.look.color, alpha=0.18, linewidth=0
        )


def _set_axes(drawing: Drawing, axes: Axes) -> None:
    drawing.set_xlabel(axes.x_label)
    drawing.set_ylabel(axes.y_label)
    drawing.set_axisbelow(True)
    drawing.tick_params(length=0)
    drawing.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    drawing.yaxis.set_major_locator(MaxNLocator(nbins=5))
    if axes.is_fraction:
        drawing.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{100 * value:.3g}%".replace("-", "−"))
        )
    else:
        drawing.ticklabel_format(axis="y", scilimits=(-3, 5), useMathText=False)
    if axes.budgets:
        _scale_by_doubling(drawing, axes.budgets)
    if axes.mark is not None:
        drawing.axvline(axes.mark, color=INK, linewidth=0.9, linestyle=":")


def _scale_by_doubling(drawing: Drawing, budgets: Sequence[float]) -> None:
    positive = [budget for budget in budgets if budget > 0]
    if positive:
        drawing.set_xscale("symlog", base=2, linthresh=positive[0], linscale=1)
    drawing.xaxis.set_major_locator(FixedLocator(budgets))
    drawing.xaxis.set_minor_locator(NullLocator())
    drawing.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _set_range(drawing: Drawing, lines: Sequence[Line]) -> None:
    """Start at zero; where values fall below it, show where zero is."""
    values = np.concatenate([[0.0], *([*line.ys, *line.lows, *line.highs] for line in lines)])
    if np.nanmin(values) < 0:
        drawing.axhline(0, color=INK, linewidth=0.9)
    else:
        drawing.set_ylim(0, 1.08 * np.nanmax(values) or 1)


def _inline(svg: str, label: str) -> str:
    """The SVG element alone, sized by the page, with only those ids that it refers to."""
    body = re.sub(r"<style.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(
        r'(<svg[^>]*?) width="[^"]*"', rf'\1 role="img" aria-label="{label}"', body, count=1
    )
    body = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", body, count=1)
    for color, variable in VARIABLES.items():
        body = body.replace(color, variable)
    return body

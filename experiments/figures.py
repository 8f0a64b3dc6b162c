"""Figures of a comparison of arms: SVG files that stand alone; equal numbers give equal bytes."""

from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from stages.figures import line_panels as house
from stages.figures.looks import HUES, MARKERS, Look

COLORS = {house.INK: "#1f2328", house.FAINT: "#d8dee4"}
PANEL_INCHES = (3.9, 2.7)
LEGEND_INCHES = 0.5
ENTRIES_A_PANEL = 2  # of the legend: more would be cut off
DODGE = 0.11  # of the distance between two budgets: how far arms stand apart
COST_LABELS = {
    "rollout_tokens": "sampled tokens",
    "compute_tokens": "compute, forward passes of a token",
}
UNITS = ((1e6, " M"), (1e3, " k"))
BUDGET_LABEL = "thinking budget, tokens"
COST_NAMES = {"rollout_tokens": "tokens", "compute_tokens": "compute"}


class Series(NamedTuple):
    """One arm's points of a panel, each with its interval; NaN leaves a gap."""

    arm: str
    look: Look
    xs: Sequence[float]
    points: Sequence[Mapping[str, float | None]]


class Plot(NamedTuple):
    """What stands on one pair of axes.

    `ticks` are the names of x = 0, 1, 2 …; without them x is a quantity.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    ticks: Sequence[str] = ()
    zero: bool = False
    """Whether y is a difference."""


def draw(results: Mapping[str, Any]) -> dict[str, str]:
    """The figures of `experiments.results`, by name."""
    learning, differences = [], []
    for level in results["num_problems"]:
        learning.append([*_learning(results, level)])
        differences.append([*_differences(results, level)])
    success = [_success(results, level) for level in results["num_problems"]]
    temperature = [_temperature(results, level) for level in results["num_problems"]]
    rows = {
        "learning": learning,
        "success": [success],
        "temperature": [temperature],
        "differences": differences,
    }
    return {name: render(name, rows_of) for name, rows_of in rows.items()}


def render(name: str, rows: Sequence[Sequence[Plot]]) -> str:
    """Rows of plots with one legend.

    Ids come from `name`, so that no two files of a page share them.
    """
    width, height = PANEL_INCHES[0] * len(rows[0]), PANEL_INCHES[1] * len(rows) + LEGEND_INCHES
    style: dict[str, Any] = {"svg.hashsalt": name}
    for key, value in house.STYLE.items():
        style[key] = COLORS.get(value, value) if isinstance(value, str) else value
    with rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(len(rows), len(rows[0]), squeeze=False, sharey="row")
        for axes, plot in zip(grid.flat, chain.from_iterable(rows), strict=True):
            _fill(axes, plot)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        num_columns = min(len(labels), ENTRIES_A_PANEL * len(rows[0]))
        figure.legend(handles, labels, loc="outside upper center", ncols=num_columns, frameon=False)
        stream = StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", facecolor="white", metadata=nothing)
    return stream.getvalue()


def looks(arms: Sequence[str]) -> dict[str, Look]:
    """A hue and a marker for each arm; the baseline, the first, has the first hue everywhere."""
    return {arm: Look(HUES[i % len(HUES)], MARKERS[i % len(MARKERS)]) for i, arm in enumerate(arms)}


def _learning(results: Mapping[str, Any], level: str) -> Iterator[Plot]:
    for cost, label in COST_LABELS.items():
        series = []
        for arm, look in looks([*results["arms"]]).items():
            curve = results["arms"][arm]["learning"][level]
            points = [at["success"] for at in curve]
            series.append(Series(arm, look, [at[cost] for at in curve], points))
        y_label = f"success at {results['training_budget_tokens']} tokens"
        yield Plot(_title(level), label, y_label, series)


def _success(results: Mapping[str, Any], level: str) -> Plot:
    finals = {arm: results["arms"][arm]["final"][level] for arm in results["arms"]}
    return Plot(_title(level), BUDGET_LABEL, "success at the end", *_by_budget(results, finals))


def _temperature(results: Mapping[str, Any], level: str) -> Plot:
    """The difference to the baseline where both are sampled at one temperature."""
    baseline = results["baseline"]
    others = [arm for arm in results["arms"] if arm != baseline]
    styles, middle = looks([*results["arms"]]), (len(others) - 1) / 2
    series = []
    for number, arm in enumerate(others):
        points = [
            *results["differences"][f"{arm}_minus_{baseline}"]["by_temperature"][level].values()
        ]
        xs = [place + DODGE * (number - middle) for place in range(len(points))]
        series.append(Series(arm, styles[arm], xs, points))
    ticks = [f"{temperature:g}" for temperature in results["temperatures"]]
    y_label = f"success less {baseline}'s"
    return Plot(_title(level), "temperature of both", y_label, series, ticks, zero=True)


def _differences(results: Mapping[str, Any], level: str) -> Iterator[Plot]:
    baseline = results["baseline"]
    others = [arm for arm in results["arms"] if arm != baseline]
    pairs = {arm: results["differences"][f"{arm}_minus_{baseline}"] for arm in others}
    finals = {arm: pair["final"][level] for arm, pair in pairs.items()}
    of_title = {"at the end": finals}
    for cost, name in COST_NAMES.items():
        matched = {arm: pair["matched"][cost][level] for arm, pair in pairs.items()}
        of_title[f"at equal {name}"] = matched
    y_label = f"success less {baseline}'s"
    for title, estimates in of_title.items():
        series = _by_budget(results, estimates)
        yield Plot(f"{_title(level)}: {title}", BUDGET_LABEL, y_label, *series, zero=True)


def _by_budget(
    results: Mapping[str, Any], estimates: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Series], Sequence[str]]:
    """Arms beside each other at each budget, and the budgets' names."""
    budgets, styles = results["budgets_tokens"], looks([*results["arms"]])
    middle = (len(estimates) - 1) / 2
    series = []
    for number, (arm, of_arm) in enumerate(estimates.items()):
        xs = [place + DODGE * (number - middle) for place in range(len(budgets))]
        points = [of_arm[f"budget_{budget}"] for budget in budgets]
        series.append(Series(arm, styles[arm], xs, points))
    return series, [str(budget) for budget in budgets]


def _fill(axes: Axes, plot: Plot) -> None:
    for series in plot.series:
        means, lows, highs = (_ends(series, end) for end in ("mean", "low", "high"))
        axes.errorbar(
            series.xs,
            means,
            # An interval that is skewed against its mean may leave it out.
            yerr=np.maximum(0, [means - lows, highs - means]),
            color=series.look.color,
            marker=series.look.marker,
            linestyle="" if plot.zero else "-",
            elinewidth=1.0,
            label=series.arm,
        )
    axes.set_title(plot.title)
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{100 * value:.3g}%".replace("-", "−"))
    )
    if plot.ticks:
        axes.set_xticks(range(len(plot.ticks)), plot.ticks)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    if plot.zero:
        axes.axhline(0, color=COLORS[house.INK], linewidth=0.9)


def _ends(series: Series, end: str) -> Float[np.ndarray, " point"]:
    """Means, or one end of the intervals; NaN where there is none."""
    return np.array([point[end] for point in series.points], dtype=float)


def _short(value: float) -> str:
    scale, unit = next(((size, name) for size, name in UNITS if value >= size), (1.0, ""))
    return f"{value / scale:g}{unit}"


def _title(level: str) -> str:
    return "All problems" if level == "all" else level.replace("_", " ").capitalize()

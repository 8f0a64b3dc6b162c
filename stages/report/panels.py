"""The page's panels: which numbers stand on which axes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stages.contracts.params.whole import Params
from stages.contracts.policy_tree import chains, recipe_names
from stages.figures import line_panels as figures
from stages.figures.line_panels import Axes, Line
from stages.figures.looks import Look, looks
from stages.report.measures import MEASURES, Course, Point

Metrics = Mapping[str, Mapping[str, Any]]
"""Metrics of each exam, by policy."""


SMALLEST_SHARE = 0.02  # of a round's thinking rollouts: fewer have an interval too rough to draw


PAIR_LEVELS = {
    "failure_low": "fails least",
    "failure_middle": "fails between",
    "failure_high": "fails most",
}
CURRICULUM = "curriculum"  # what stands beside the levels in an exam's metrics


class Panel(NamedTuple):
    """A figure with its heading."""

    title: str
    svg: str


class ChainPanels(NamedTuple):
    """A row of panels on one chain of rounds."""

    title: str
    look: Look
    rounds: list[str]
    panels: list[Panel]


def levels(metrics: Metrics) -> dict[str, str]:
    """The levels of the exams, all first and then by difficulty, each with its title."""
    names = {name for metric in metrics.values() for name in metric} - {"all", CURRICULUM}
    numbers = sorted(int(name.removeprefix("difficulty_")) for name in names)
    return {"all": "all problems"} | {f"difficulty_{n}": f"difficulty {n}" for n in numbers}


def chain_title(settings: Params, chain: Sequence[str]) -> str:
    """A chain's rounds and recipes in a few words."""
    ends = chain[0] if len(chain) == 1 else f"{chain[0]} to {chain[-1]}"
    return f"{ends}: {', then '.join(recipe_names(settings.rounds, list(chain)))}"


def at_temperatures(metrics: Metrics, level: str) -> str:
    """The temperatures that a level's numbers are at, in a few words."""
    own = {policy: metric[level]["temperature"] for policy, metric in metrics.items()}
    if len({*own.values()}) == 1:
        return f"at temperature {next(iter(own.values()))}"
    return ", ".join(f"{policy} at {temperature}" for policy, temperature in own.items())


def budget_panels(settings: Params, metrics: Metrics) -> list[Panel]:
    """Success by budget, a panel a level and a line a policy at its best temperature."""
    budgets, styles = settings.exam.budgets_tokens, looks(settings.inits, settings.rounds)
    trained = settings.report.training_budget_tokens
    axes = Axes("thinking budget, tokens", "held-out success", True, budgets, trained)
    panels = []
    for level, title in levels(metrics).items():
        lines = []
        for policy, metric in metrics.items():
            curve = [metric[level]["success"][f"budget_{budget}"] for budget in budgets]
            lines.append(_interval_line(styles[policy], budgets, curve))
        title = f"{title.capitalize()}: {at_temperatures(metrics, level)}"
        panels.append(Panel(title, figures.draw(f"budget-{level}", axes, lines)))
    return panels


def temperature_panels(settings: Params, metrics: Metrics) -> list[Panel]:
    """Success at the training budget by temperature, a panel a level and a line a policy.

    None of one temperature. Dashed is what each initial policy has at its best.
    """
    temperatures = sorted(settings.exam.temperatures)
    if len(temperatures) == 1:
        return []
    styles = looks(settings.inits, settings.rounds)
    at = f"budget_{settings.report.training_budget_tokens}"
    axes = Axes("sampling temperature", "held-out success", True, temperatures)
    panels = []
    for level, title in levels(metrics).items():
        lines = []
        for policy, metric in metrics.items():
            by_temperature = metric[level]["success_by_temperature"]
            known = {t: by_temperature[str(t)][at] for t in temperatures}
            drawn = {t: value for t, value in known.items() if value}
            lines.append(_interval_line(styles[policy], [*drawn], [*drawn.values()]))
            if policy in settings.inits:
                best = [metric[level]["success"][at]["mean"]] * len(temperatures)
                baseline = Line(styles[policy], temperatures, best, (), (), True, False)
                lines.append(baseline)
        panels.append(Panel(title.capitalize(), figures.draw(f"cold-{level}", axes, lines)))
    return panels


def skill_panels(settings: Params, metrics: Metrics) -> list[Panel]:
    """What several samples are worth at the training budget, and success by length of thought.

    A line a policy.
    """
    styles, at = (
        looks(settings.inits, settings.rounds),
        f"budget_{settings.report.training_budget_tokens}",
    )
    ks = [
        int(name.removeprefix("k_"))
        for name in next(iter(metrics.values()))["all"]["pass_at_k"][at]
    ]
    samples = Axes("samples k", "success", True, sorted(ks))
    several = [
        line
        for policy, metric in metrics.items()
        for line in (
            _samples_line(styles[policy], metric["all"]["pass_at_k"][at]),
            _samples_line(styles[policy], metric["all"]["maj_at_k"][at], is_dashed=True),
        )
    ]
    chosen = [
        _samples_line(styles[policy], metric["all"]["best_of_n"][at])
        for policy, metric in metrics.items()
    ]
    thought = [_segments_line(styles[policy], metric["all"]) for policy, metric in metrics.items()]
    panels = _panel(
        "segments", "Success by length of thought", Axes("whole segments", "success", True), thought
    )
    if max(ks) > 1:
        panels += _panel("samples", "One of k right solid, majority of k dashed", samples, several)
        panels += _panel("chosen", "Best of k by the exam's judge", samples, chosen)
    return panels


def information_chains(settings: Params, courses: Mapping[str, Course]) -> Iterator[ChainPanels]:
    """J and progress by position in the rollout.

    A line a round, in the look of the policy that sampled it.
    """
    styles = looks(settings.inits, settings.rounds)
    so_far, of_segment = "segments thought so far", "segment, from 0"
    for chain in chains(settings.rounds):
        sampled = [(styles[settings.rounds[name].parent], courses[name]) for name in chain]
        success = [_points_line(look, course.success) for look, course in sampled]
        progress = [_points_line(look, course.progress) for look, course in sampled]
        counts = [_counts_line(look, course.success) for look, course in sampled]
        panels = [
            *_panel(
                "success",
                "Success if made to answer now",
                Axes(so_far, "forced success J", True),
                success,
                chain,
            ),
            *_panel(
                "progress",
                "Progress of each segment",
                Axes(of_segment, "mean progress ΔJ", True),
                progress,
                chain,
            ),
            *_panel(
                "counts",
                "Rollouts that got this far",
                Axes(so_far, "rollouts, count"),
                counts,
                chain,
            ),
        ]
        yield ChainPanels(chain_title(settings, chain), styles[chain[-1]], chain, panels)


def training_panels(
    settings: Params, courses: Mapping[str, Course], metrics: Metrics
) -> list[Panel]:
    """Each measure by round, a line a chain; measures that no round has are left out."""
    axes = Axes("rounds trained", "success at the training budget", True)
    title = f"Held-out success where examined: {at_temperatures(metrics, 'all')}"
    panels = _panel("exams", title, axes, [*_exam_lines(settings, metrics)])
    styles = looks(settings.inits, settings.rounds)
    for measure in MEASURES:
        lines = [
            Line(
                styles[chain[-1]],
                range(1, len(chain) + 1),
                _values(courses, chain, name),
                is_dashed=bool(number),
            )
            for chain in chains(settings.rounds)
            for number, name in enumerate(measure.names)
        ]
        axes = Axes("round", measure.y_label, measure.is_fraction)
        panels += _panel(measure.names[0], measure.title, axes, lines)
    return panels


def sft_panel(settings: Params, sft_metrics: Mapping[str, Mapping[str, Any]]) -> Panel:
    """Loss by step, a line an init."""
    lines = []
    trained = {init: metric for init, metric in sft_metrics.items() if metric["num_steps"]}
    for init, metric in trained.items():
        curve = metric["loss_curve"]
        steps = (
            np.linspace(0, metric["num_steps"], len(curve), endpoint=False)
            + metric["num_steps"] / len(curve) / 2
        )
        lines.append(
            Line(
                looks(settings.inits, settings.rounds)[init],
                steps.tolist(),
                curve,
                has_markers=False,
            )
        )
    return Panel(
        "Loss on demonstrations",
        figures.draw("sft", Axes("step", "weighted loss per token, nats"), lines),
    )


def _panel(
    name: str, title: str, axes: Axes, lines: Sequence[Line], chain: Sequence[str] = ("",)
) -> list[Panel]:
    """The panel, or none where there is nothing to draw."""
    drawn = any(np.isfinite(line.ys).any() for line in lines)
    return [Panel(title, figures.draw(f"{name}-{chain[-1]}", axes, lines))] if drawn else []


def _exam_lines(settings: Params, metrics: Metrics) -> Iterator[Line]:
    key = f"budget_{settings.report.training_budget_tokens}"
    for chain in chains(settings.rounds):
        line = [settings.rounds[chain[0]].parent, *chain]
        examined = [number for number, policy in enumerate(line) if policy in metrics]
        curve = [metrics[line[number]]["all"]["success"][key] for number in examined]
        yield _interval_line(looks(settings.inits, settings.rounds)[chain[-1]], examined, curve)


def _points_line(look: Look, points: Sequence[Point]) -> Line:
    kept = [
        point for point in points if point.num_rollouts >= SMALLEST_SHARE * points[0].num_rollouts
    ]
    return _interval_line(
        look, [point.segment_index for point in kept], [point._asdict() for point in kept]
    )


def _counts_line(look: Look, points: Sequence[Point]) -> Line:
    return Line(
        look, [point.segment_index for point in points], [point.num_rollouts for point in points]
    )


def _samples_line(
    look: Look, choices: Mapping[str, Mapping[str, float] | None], is_dashed: bool = False
) -> Line:
    known = {
        int(name.removeprefix("k_")): value["mean"] for name, value in choices.items() if value
    }
    return Line(look, sorted(known), [known[k] for k in sorted(known)], is_dashed=is_dashed)


def _segments_line(look: Look, metric: Mapping[str, Any]) -> Line:
    by_number = {
        int(name.removeprefix("segments_")): v
        for name, v in metric["success_by_num_segments"].items()
    }
    enough = [
        n
        for n in sorted(by_number)
        if by_number[n]["num_problems"] >= SMALLEST_SHARE * metric["num_problems"]
    ]
    return _interval_line(look, enough, [by_number[number] for number in enough])


def _interval_line(
    look: Look, xs: Sequence[int | float], curve: Sequence[Mapping[str, Any]]
) -> Line:
    means, lows, highs = ([point[name] for point in curve] for name in ("mean", "low", "high"))
    return Line(look, xs, means, lows, highs)


def _values(courses: Mapping[str, Course], chain: Sequence[str], name: str) -> list[float]:
    values = [courses[round_id].measures[name] for round_id in chain]
    return [np.nan if value is None else value for value in values]

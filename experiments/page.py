"""The numbers of a comparison as Markdown tables: mean and interval, fractions in percent."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

Json = Mapping[str, Any]

COST_NAMES = {"rollout_tokens": "sampled tokens", "compute_tokens": "compute"}
LEVEL_NAMES = {"all": "all problems"}
NOT_PERCENT = ("thinking_tokens", "last_entropy_nats")


def page(results: Json, name: str) -> str:
    """The page of `experiments.results`; its figures lie beside it."""
    num_runs, runs = results["num_runs"], results["chains"][results["baseline"]]
    problems = ", ".join(
        f"{count} of {level_name(level)}" for level, count in results["num_problems"].items()
    )
    temperatures = ", ".join(f"{temperature:g}" for temperature in results["temperatures"])
    sections = [
        f"# {name.capitalize()} compared",
        f"`{results['command']}`, of commit {results['commit'][:12]}. "
        f"{num_runs} runs an arm ({', '.join(runs)} and their like), "
        f"{results['exam_rounds'][-1]} rounds each; exams of {problems}. "
        f"In brackets {results['confidence']:.0%} intervals over runs and problems; "
        "success, regret and rates in percent. "
        f"Chains that are not finished: {len(results['missing'])}.",
        f"Every exam is sat at temperatures {temperatures}; each arm, and the init, is shown at "
        "its best one, chosen on reserved problems that no exam asks "
        f"({results['num_reserved_problems']['all']}). {results['num_comparisons']} comparisons "
        f"with `{results['baseline']}` at {results['training_budget_tokens']} tokens; *corrected* "
        "intervals are for as many.",
    ]
    for level in results["num_problems"]:
        sections += [f"## {level_name(level).capitalize()}", *_level(results, level)]
    sections += [
        "## What a run is shown of right answers, and what it took, mean over runs",
        _costs(results),
    ]
    figures = ("learning", "success", "temperature", "differences")
    sections += [f"![{figure}]({name}-{figure}.svg)" for figure in figures]
    return "\n\n".join(sections) + "\n"


def level_name(level: str) -> str:
    """A level in words."""
    return LEVEL_NAMES.get(level, level.replace("_", " "))


def _level(results: Json, level: str) -> Iterator[str]:
    baseline = f"`{results['baseline']}`"
    arms = results["arms"]
    pairs = {_short(pair): entry for pair, entry in results["differences"].items()}
    yield (
        "Success at the end by thinking budget, regret, "
        "and what budgets beyond the trained one add:"
    )
    ends = {arm: entry["final"][level] for arm, entry in arms.items()}
    yield _table("arm", {"init": results["init"][level], **ends})
    yield "What was gained over the init:"
    gained = {arm: entry["over_init"][level] for arm, entry in arms.items()}
    yield _table("arm", gained, is_difference=True)
    yield f"The same less {baseline}'s, run by run:"
    finals = {pair: entry["final"][level] for pair, entry in pairs.items()}
    yield _table("pair", finals, is_difference=True)
    yield (
        f"At {results['training_budget_tokens']} tokens: corrected for the number of comparisons, "
        "with both at one temperature, and with the init as the unit (Student's t):"
    )
    yield _checks(pairs, level)
    for cost, name in COST_NAMES.items():
        costs = {f"{entry['matched'][cost]['cost']:,.0f}" for entry in pairs.values()}
        yield f"The same at equal {name} ({' to '.join(sorted({min(costs), max(costs)}))}):"
        matched = {pair: entry["matched"][cost][level] for pair, entry in pairs.items()}
        yield _table("pair", matched, is_difference=True)
    yield f"Cost to reach {baseline}'s final success, per cost of {baseline}:"
    yield _reach(results, level)
    if all(entry["saturation"][level] for entry in arms.values()):
        yield (
            "Speed or ceiling: a sigmoid in the rounds from the init's success on. Where the last "
            "column is not small the ceiling is a guess, for half of the way lies beyond the "
            "rounds that were run:"
        )
        yield _saturation(arms, level)
    yield "Drift: rates of the last exam at its longest budget, entropy behind the last round:"
    yield _table("arm", {arm: entry["drift"][level] for arm, entry in arms.items()})
    yield _falls(results, level)
    yield "Drift less the baseline's:"
    drifts = {pair: entry["drift"][level] for pair, entry in pairs.items()}
    yield _table("pair", drifts, is_difference=True)


def _falls(results: Json, level: str) -> str:
    """How many chains ended below their own best."""
    fallen = [f"{entry['fallen'][level]} of `{arm}`" for arm, entry in results["arms"].items()]
    return (
        f"Of {results['num_runs']} chains an arm, those whose last exam is below their best one "
        f"before beyond noise (paired, one-sided, 5%, corrected): {', '.join(fallen)}."
    )


def _checks(pairs: Mapping[str, Json], level: str) -> str:
    """One difference by other lights."""
    rows: dict[str, dict[str, str]] = {}
    for pair, entry in pairs.items():
        row = rows.setdefault(pair, {})
        row["corrected"] = _percent(entry["corrected"][level], is_difference=True)
        for temperature, estimate in entry["by_temperature"][level].items():
            row[f"at {temperature}"] = _percent(estimate, is_difference=True)
        own = entry["by_init"][level]
        row["inits"] = str(own["num_inits"])
        row["t"], row["p"] = ("" if own[name] is None else f"{own[name]:.3g}" for name in "tp")
    return _markdown("pair", rows)


def _reach(results: Json, level: str) -> str:
    rows: dict[str, dict[str, str]] = {}
    for pair, entry in results["differences"].items():
        row = rows.setdefault(_short(pair), {})
        for cost, name in COST_NAMES.items():
            reached = entry["reach"][cost][level]
            row[f"{name}, ratio"] = _plain(reached["ratio"])
            row[f"{name}, inverse"] = _plain(reached["inverse"])
            row[f"{name}, never"] = f"{reached['never_frac']:.1%}"
    return _markdown("pair", rows)


def _saturation(arms: Json, level: str) -> str:
    rows: dict[str, dict[str, str]] = {}
    for arm, entry in arms.items():
        found = entry["saturation"][level]
        row = rows.setdefault(arm, {})
        row["ceiling"] = _percent(found["ceiling"], is_difference=False)
        row["rounds to half of the way"] = _plain(found["half_rounds"])
        row["half way not seen"] = f"{found['unseen_frac']:.0%}"
    return _markdown("arm", rows)


def _costs(results: Json) -> str:
    rows: dict[str, dict[str, str]] = {}
    for arm, entry in results["arms"].items():
        row = rows.setdefault(arm, {"is shown": entry["supervision"]})
        for name, cost in entry["costs"].items():
            total = sum(run[-1] for run in cost["cumulative"])
            row[name] = f"{total / results['num_runs']:,.0f}"
    return _markdown("arm", rows)


def _table(corner: str, rows: Mapping[str, Json], is_difference: bool = False) -> str:
    shown: dict[str, dict[str, str]] = {}
    for row, cells in rows.items():
        texts = shown.setdefault(row, {})
        for column, estimate in cells.items():
            if isinstance(estimate, Mapping):
                text = _plain if column in NOT_PERCENT else _percent
                texts[column.removeprefix("budget_")] = text(estimate, is_difference)
    return _markdown(corner, shown)


def _markdown(corner: str, rows: Mapping[str, Mapping[str, str]]) -> str:
    return str(pd.DataFrame([*rows.values()], index=[*rows]).rename_axis(corner).to_markdown())


def _percent(estimate: Json, is_difference: bool) -> str:
    sign = "+" if is_difference else ""
    mean, low, high = (100 * estimate[end] for end in ("mean", "low", "high"))
    return f"{mean:{sign}.1f} [{low:.1f}, {high:.1f}]"


def _plain(estimate: Json, is_difference: bool = False) -> str:
    """An end that JSON has as null is infinite: the level is never reached."""
    mean, low, high = (
        "∞" if estimate[end] is None else f"{estimate[end]:.2f}" for end in ("mean", "low", "high")
    )
    sign = "+" if is_difference and estimate["mean"] is not None and estimate["mean"] >= 0 else ""
    return f"{sign}{mean} [{low}, {high}]"


def _short(pair: str) -> str:
    return pair.partition("_minus_")[0]

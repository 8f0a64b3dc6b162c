"""The finished chains of an experiment as arrays: costs of rounds, results of exams.

Only seeds under which every arm is finished count, so that all arms are compared on the same runs.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from experiments.drift import Counts, read_counts
from experiments.exams import Problems, Success, align, read_success
from experiments.plan import Chain, chains, check_arms, load_profile
from stages.contracts.params.base import read_file
from stages.contracts.params.recipes.recipe import Recipe
from stages.contracts.params.whole import Params, load
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.running.errors import BadInput
from stages.running.publish import read_json

ROUND_FACTS = ("rollouts", "scores", "probes", "gains", "validation")  # an update's lie elsewhere
VERDICTS = ("false_positive_frac", "false_negative_frac")
SUPERVISION = {
    "known_answers": "the list of right answers",
    "sampled_answers": "verdicts on its answers and on probes'",
    "value": "verdicts on its answers",
}
TRAIN_FACTOR = 3  # a training step is a forward pass and a backward pass, which costs two


class Arm(NamedTuple):
    """All runs of one arm."""

    success: Success
    """Mean reward of a problem's samples, of held-out and of reserved problems."""
    costs: Mapping[str, Float[np.ndarray, "run round"]]
    """What each round took, by `Costs`."""
    rounds: Mapping[str, Float[np.ndarray, "run round"]]
    """What is watched of each round; NaN where there was nothing to measure."""
    exams: Mapping[str, Float[np.ndarray, "run exam"]]
    """What is watched of each exam, at its longest budget; NaN likewise."""
    counts: Counts
    """What each problem of the last exam adds to the rates of drift."""
    supervision: str
    """What its updates are shown of right answers, in words."""

    def spent(
        self, cost: str, exam_rounds: Int[np.ndarray, " exam"]
    ) -> Float[np.ndarray, "run exam"]:
        """Cost from the init on to each exam."""
        totals = np.cumsum(self.costs[cost], axis=1)
        return np.concatenate([np.zeros((len(totals), 1)), totals], axis=1)[:, exam_rounds]


class Experiment(NamedTuple):
    """What the finished chains hold."""

    commit: str
    settings: Params
    """Of one chain; chains differ in seeds and recipes only."""
    trained_difficulties: list[int]
    chain_names: dict[str, list[str]]
    """Of each arm, run by run."""
    missing: list[str]
    """Chains that are not finished."""
    exam_rounds: Int[np.ndarray, " exam"]
    """Rounds behind each exam; 0 is the init's."""
    init_seeds: list[int]
    """Of each run."""
    problems: Problems
    arms: dict[str, Arm]


def finished_chains(
    profile: Path, folder: Path, params_file: Path, arms: Collection[str] = ()
) -> tuple[list[Chain], list[Chain]]:
    """The chains under whose seeds all arms are finished, and those that are missing.

    Of an experiment half done `arms` may name some; without names they are all that there are.

    Raises:
        BadInput: there are no such seeds, no such arm, or one arm alone.
    """
    settings = load_profile(profile)
    check_arms(settings, profile, arms)
    chosen = [*arms] or [*settings.arms]
    if len(chosen) < 2:
        raise BadInput(f"{chosen[0]} alone is no comparison; name two arms of {[*settings.arms]}")
    wanted = [one for one in chains(settings, read_file(params_file)) if one.arm in chosen]
    done = folder / "done"
    missing = [chain for chain in wanted if not (done / f"{chain.name}-evaluate").is_file()]
    unpaired = {(chain.init_seed, chain.round_seed) for chain in missing}
    finished = [chain for chain in wanted if (chain.init_seed, chain.round_seed) not in unpaired]
    if not finished:
        raise BadInput(
            f"{folder}: under no seeds are all arms finished ({len(missing)} of {len(wanted)} "
            f"chains are missing; first {missing[0].name}); run `python -m experiments.run "
            f"--profile {profile} --folder {folder}`"
        )
    return finished, missing


def gather(
    profile: Path, folder: Path, params_file: Path, arms: Collection[str] = ()
) -> Experiment:
    """Read every chain under whose seeds all arms are finished, or all of `arms`.

    Raises:
        BadInput: there are no such seeds, a chain did not run with what the profile says, or exams
            do not match.
    """
    finished, missing = finished_chains(profile, folder, params_file, arms)
    settings: dict[str, Params] = {}
    sat: dict[str, list[pd.DataFrame]] = {}
    members: dict[str, list[str]] = {}
    levels: set[int] = set()
    for chain in finished:
        settings[chain.name] = read_settings(chain, folder, profile, params_file)
        sat[chain.name] = read_success(folder / chain.name, settings[chain.name])
        members.setdefault(chain.arm, []).append(chain.name)
        for recipe in settings[chain.name].recipes.values():
            levels |= {*recipe.rollout.difficulties}
    first = settings[finished[0].name]
    success, problems = align(sat, first.exam.temperatures)
    by_name = {}
    for arm, names in members.items():
        counts = read_counts([folder / name for name in names], first, problems.index)
        runs = {name: folder / name / "data" for name in names}
        by_name[arm] = read_arm(runs, settings, np.stack([success[name] for name in names]), counts)
    policies = [*first.inits, *first.rounds]
    return Experiment(
        commit=(folder / "commit").read_text(encoding="utf-8").strip(),
        settings=first,
        trained_difficulties=sorted(levels),
        chain_names=members,
        missing=[chain.name for chain in missing],
        exam_rounds=np.array([policies.index(policy) for policy in first.exams]),
        init_seeds=[chain.init_seed for chain in finished if chain.arm == finished[0].arm],
        problems=problems,
        arms=by_name,
    )


def read_arm(
    runs: Mapping[str, Path],
    settings: Mapping[str, Params],
    success: Success,
    counts: Counts,
) -> Arm:
    """What is watched of an arm's runs, each in its folder."""
    costs, rounds, exams = [], [], []
    for name, data in runs.items():
        costs.append(read_costs(data, settings[name]))
        rounds.append(read_rounds(data, settings[name]))
        exams.append(read_exams(data, settings[name]))
    [recipe, *_] = settings[next(iter(runs))].recipes.values()
    supervision = supervision_of(recipe)
    return Arm(success, stacked(costs), stacked(rounds), stacked(exams), counts, supervision)


def supervision_of(recipe: Recipe) -> str:
    """What an arm's updates are shown of right answers, in words; equal words: equal knowledge."""
    if not recipe.update.reads_gains:
        return "verdicts on its answers"
    return SUPERVISION[recipe.probe.success_from]


def read_settings(chain: Chain, folder: Path, profile: Path, params_file: Path) -> Params:
    """A chain's own params.yaml.

    Raises:
        BadInput: it is not what the profile says now.
    """
    path = folder / chain.name / "params.yaml"
    settings = load(path)
    if settings != Params.model_validate(chain.params):
        raise BadInput(
            f"{path} is not what {profile} and {params_file} give; compare by the params.yaml of "
            f"the commit in {folder / 'commit'} (--params-file), or remove {chain.name} and its "
            f"marks in {folder / 'done'} and run it again"
        )
    return settings


def read_costs(data: Path, settings: Params) -> dict[str, list[float]]:
    """What each round took.

    `compute_tokens` are forward passes of one token: those sampled, probed, and trained on.

    `compute_tokens` are forward passes of one token: those sampled, probed, and trained on. Probes
    are sampled in every round, to watch it; an update that does not learn from them is not
    charged for them. A probe's tokens are those its estimator counts; prompts, and what a prefix
    cache spares, are in neither number. `seconds` are those of all steps, on whatever machine ran
    them.
    """
    costs: dict[str, list[float]] = {}
    for name, entry in settings.rounds.items():
        facts = {step: _facts(data / "rounds" / name / f"{step}.run.json") for step in ROUND_FACTS}
        update = _facts(data / "policies" / f"{name}.run.json")
        sampled = sum(read_json(data / "metrics/updates" / f"{name}.json")["tokens"].values())
        probed, trained = facts["probes"]["counts"]["num_tokens"], update["counts"]["num_tokens"]
        is_charged = settings.recipes[entry.recipe].update.reads_gains
        row = {
            "rollout_tokens": sampled,
            "probe_tokens": probed,
            "trained_tokens": trained,
            "compute_tokens": sampled + is_charged * probed + TRAIN_FACTOR * trained,
            "seconds": sum(fact["seconds"]["total"] for fact in [*facts.values(), update]),
        }
        for cost, value in row.items():
            costs.setdefault(cost, []).append(value)
    return costs


def read_rounds(data: Path, settings: Params) -> dict[str, list[float]]:
    """What tells of drift in a round: length, last entropy, how false verdicts of its own are."""
    measures: dict[str, list[float]] = {}
    for name in settings.rounds:
        metrics = read_json(data / "metrics/updates" / f"{name}.json")
        path = data / "rounds" / name / "rollouts.parquet"
        thinking = read_table(path, ROLLOUTS, ["num_thinking_tokens"]).to_pandas()
        row = {
            "thinking_tokens": thinking["num_thinking_tokens"].mean(),
            "last_entropy_nats": metrics["entropy_nats"]["last"],
            **{verdict: _number(metrics["verdicts"][verdict]) for verdict in VERDICTS},
        }
        for measure, value in row.items():
            measures.setdefault(measure, []).append(value)
    return measures


def read_exams(data: Path, settings: Params) -> dict[str, list[float]]:
    """What tells of drift in an exam."""
    longest = f"budget_{max(settings.exam.budgets_tokens)}"
    rates: dict[str, list[float]] = {}
    for policy in settings.exams:
        metrics = read_json(data / "metrics/exams" / f"{policy}.json")["all"]
        rates.setdefault("repeat_frac", []).append(metrics["repeat_frac"])
        rates.setdefault("thinking_tokens", []).append(metrics["used_tokens"][longest])
        for verdict in VERDICTS:
            estimate = metrics["self_verification"][verdict]
            rates.setdefault(verdict, []).append(_number(estimate and estimate["mean"]))
    return rates


def stacked(rows: Sequence[Mapping[str, list[float]]]) -> dict[str, Float[np.ndarray, "run _"]]:
    """One array of each measure, a row a run."""
    return {name: _column(rows, name) for name in rows[0]}


def _column(rows: Sequence[Mapping[str, list[float]]], name: str) -> Float[np.ndarray, "run _"]:
    return np.array([row[name] for row in rows], dtype=float)


def _facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BadInput(
            f"{path} is missing: its step was restored from DVC's cache, which keeps no facts of a "
            "run; run that step again by `dvc repro --force --single-item`"
        )
    return read_json(path)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value

"""An experiment's folder as its chains leave it, its curves so simple that all is known."""

from pathlib import Path
from typing import Any

import yaml

from experiments.plan import Chain, chains, load_profile
from fixtures.checkouts import ROOT
from tests.world import (
    CONTENTS,
    DIFFICULTY,
    TEMPERATURES,
    World,
    write_exam,
    write_json,
    write_round,
)

PARAMS = ROOT / "params.yaml"
PROFILE = {
    "everywhere": {
        "exam": {"budgets_tokens": [0, 8, 16], "temperatures": TEMPERATURES},
        "report": {"training_budget_tokens": 8},
        "evaluate": {"num_resamples": 100},
    },
    "recipe": "information",
    "arms": {"outcome": {"update": {"objective": {"name": "outcome"}}}, "information": {}},
    "init_seeds": [1, 2],
    "round_seeds": [5],
    "num_rounds": 4,
    "rounds_between_exams": 2,
}
# Success at 8 tokens after 0, 2 and 4 rounds, the same on every problem; at 16 tokens half a
# success more.
CURVES = {"outcome": (0.0, 0.0, 0.5), "information": (0.0, 0.5, 1.0)}
SAMPLED, PROBED, TRAINED, SECONDS = 100, 250, 50, 2.0


def make_folder(root: Path) -> tuple[Path, Path]:
    """A profile, and the folder of its chains, all finished."""
    profile, folder = root / "toy.yaml", root / "chains"
    root.mkdir(parents=True, exist_ok=True)
    profile.write_text(yaml.safe_dump(PROFILE, sort_keys=False))
    (folder / "done").mkdir(parents=True)
    (folder / "commit").write_text("0123abcd\n")
    for chain in chains(load_profile(profile), yaml.safe_load(PARAMS.read_text())):
        write_chain(folder, chain)
    return profile, folder


def write_chain(folder: Path, chain: Chain) -> None:
    """One finished chain: four rounds, and exams of the init and every second round."""
    world = World(folder / chain.name)
    world.params.parent.mkdir()
    world.params.write_text(yaml.safe_dump(chain.params, sort_keys=False))
    for policy, success in zip(chain.params["exams"], CURVES[chain.arm], strict=True):
        write_exam(world, policy, dict.fromkeys(DIFFICULTY, rewards(success)))
    for number, (name, entry) in enumerate(chain.params["rounds"].items()):
        write_round(world, name, entry["parent"], CONTENTS)
        write_json(world.data / "metrics/updates" / f"{name}.json", update_metrics(number))
        for step in ("rollouts", "scores", "probes", "gains", "validation"):
            write_facts(world.data / "rounds" / name / f"{step}.run.json", PROBED)
        write_facts(world.data / "policies" / f"{name}.run.json", TRAINED)
    (folder / "done" / f"{chain.name}-evaluate").touch()


def rewards(success: float) -> tuple[list[int], list[int]]:
    """Two samples of one problem at 0, 8 and 16 tokens."""
    later = min(1.0, success + 0.5)
    return [0, int(success >= 0.5), int(later >= 0.5)], [0, int(success >= 1), int(later >= 1)]


def update_metrics(number: int) -> dict[str, Any]:
    return {
        "tokens": {"trained": SAMPLED - 30, "filtered_zero_advantage": 10, "forced": 20},
        "entropy_nats": {"first": 1.0, "last": 0.5 - number / 10},
        "verdicts": {
            "false_positive_frac": None if number == 0 else 0.25,
            "false_negative_frac": 0.0,
        },
    }


def write_facts(path: Path, num_tokens: int) -> None:
    write_json(
        path, {"counts": {"num_tokens": num_tokens}, "seconds": {"total": SECONDS, "startup": 1.5}}
    )

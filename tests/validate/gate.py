"""The gate run on rows that no writer checked, and the check frames it makes of them."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.contract import part_name
from stages.contracts.tables.all import TABLES
from stages.contracts.verdict import Verdict
from stages.tasks.formats import load_format
from stages.validate import __main__ as validate
from stages.validate.checks import Premises, check_frames, group_sizes
from stages.validate.problem_checks import drawn_problems, problems_frame
from tests.validate.sound_round import (
    NAMES,
    ROUND,
    Rows,
)

PART = part_name(0, 1)


def write_unchecked(folder: Path, rows: Rows) -> None:
    """Write tables as a foreign program would: columns of the right types, and no other promise."""
    for name in NAMES:
        data = pa.Table.from_pylist(rows[name], schema=TABLES[name].schema)
        data = data.sort_by([(column, "ascending") for column in TABLES[name].key])
        (folder / f"{name}.parquet").mkdir(exist_ok=True)
        pq.write_table(data, folder / f"{name}.parquet" / PART)


def run(folder: Path, policy: Path, params_file: Path, docs: Path | None = None) -> dict[str, Any]:
    """Run the stage on the tables in a folder; what it published."""
    paths = {name: folder / f"{name}.parquet" for name in NAMES}
    validation = folder / "validation.json"
    validate.main(
        round_id=ROUND,
        text_format=policy.with_name("format.json"),
        policy=policy,
        validation=validation,
        docs=docs,
        params_file=params_file,
        **paths,
    )
    published: dict[str, Any] = json.loads(validation.read_text(encoding="utf-8"))
    return published


def arrow(rows: Rows) -> dict[str, pa.Table]:
    """Rows as tables, sorted by key."""
    data = {name: pa.Table.from_pylist(rows[name], schema=TABLES[name].schema) for name in NAMES}
    return {
        name: t.sort_by([(c, "ascending") for c in TABLES[name].key]) for name, t in data.items()
    }


def framed(
    data: dict[str, pa.Table],
    workplace: Path,
    decision: float | None = None,
    partial_credit: bool = False,
) -> dict[str, pd.DataFrame]:
    """Check frames of whole tables."""
    problems, *others = (
        data[name] for name in ("problems", "rollouts", "scores", "segments", "probes", "gains")
    )
    held = premises(workplace, problems, group_sizes([data["rollouts"]]), decision, partial_credit)
    drawn = drawn_problems(load(workplace / "params.yaml").task)
    return {"problems": problems_frame(problems, drawn), **dict(check_frames(held, *others))}


def premises(
    workplace: Path,
    problems: pa.Table,
    sizes: dict[str, int],
    decision: float | None,
    partial_credit: bool,
) -> Premises:
    """What the sound round is held against."""
    settings, renderer = load(workplace / "params.yaml"), Renderer.of_policy(workplace / "r0")
    rewards = {verdict.value: verdict.reward for verdict in Verdict}
    cue_tokens = renderer.encode(load_format(settings.task).cue)
    probe = settings.recipes["information"].probe
    return Premises(
        *(ROUND, settings.rounds[ROUND].seed, problems, sizes, renderer, cue_tokens),
        *(rewards, partial_credit, decision, probe),
    )


def parameters(workplace: Path) -> dict[str, Any]:
    settings = validate.read_settings(workplace / "params.yaml", ROUND)
    return validate.suite_parameters(settings, Renderer.of_policy(workplace / "r0"), 1)

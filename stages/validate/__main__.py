"""Hold every table of a round against its Great Expectations suite: the gate before `update`.

Reads   problems, the format of their text, rollouts, scores, segments, probes, gains, the parent
        policy's tokenizer; params.yaml `rounds.<round>`, its recipe's `rollout`, `segments` and
        `probe`, `task`, `compute.inference`.
Writes  validation.json: for each table its rows and each expectation's outcome. Only where all of
        them hold; nothing is written otherwise, so nothing trains. With --docs also Data Docs: a
        folder of HTML pages, index.html first.
Method  Each table becomes a flat check frame (`stages.validate.checks`): counts over lists, joins,
        residuals of the identities that must hold. Its suite
        (`stages/validate/expectations/<table>.json`) judges the frame row by row; bounds written
        {"$PARAMETER": …} come from params.yaml and the policy. Problems must be those that the task
        draws, which are drawn once more; texts what the tokens beside them read. One process runs
        all suites, over the rows of some whole rollouts at a time (`stages.validate.suites`), so
        memory does not grow with them.

Example: python -m stages.validate --round-id i1 --problems data/problems.parquet \
         --text-format data/format.json --policy data/policies/r0 \
         --rollouts data/rounds/i1/rollouts.parquet --scores data/rounds/i1/scores.parquet \
         --segments data/rounds/i1/segments.parquet --probes data/rounds/i1/probes.parquet \
         --gains data/rounds/i1/gains.parquet --validation data/rounds/i1/validation.json \
         --docs data/docs/i1
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import pandas as pd

from stages.contracts.format import read_format
from stages.contracts.params.base import read_section
from stages.contracts.params.compute.inference import Inference
from stages.contracts.params.recipes.probe import Probe
from stages.contracts.params.recipes.rollout import Rollout
from stages.contracts.params.recipes.segments import Segments
from stages.contracts.params.round import Round
from stages.contracts.params.task import TaskParams
from stages.contracts.render import Renderer
from stages.contracts.storage.joins import aligned
from stages.contracts.storage.reading import count_rows, read_batches, read_table
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.verdict import EXACT, Verdict
from stages.pure.judgement import DECISION
from stages.running.errors import command
from stages.running.progress import ProgressBar
from stages.running.publish import RunFacts, write_json
from stages.validate.checks import Premises, check_frames, group_sizes, shared_seeds
from stages.validate.docs import write_docs
from stages.validate.problem_checks import drawn_problems, problems_frame
from stages.validate.refusal import refuse
from stages.validate.suites import SuiteRunner, expectation_results
from stages.validate.tables import TABLES

BATCH_ROWS, BATCH_BYTES = (
    2**17,
    2**25,
)  # more than elsewhere: a suite takes a second however few the rows

ROUNDING_NATS = 0.01
"""By how much an engine that is not exact may overstate a log-probability."""
SMALLEST_NATS = -150 * math.log(2)
"""Below it a probability is 0 in float32, and no sampler draws the token."""


def main(
    round_id: str,
    problems: Path,
    text_format: Path,
    policy: Path,
    rollouts: Path,
    scores: Path,
    segments: Path,
    probes: Path,
    gains: Path,
    validation: Path,
    docs: Path | None = None,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Validate the tables of one round."""
    validation.unlink(missing_ok=True)  # an earlier pass must not open the gate for these tables
    settings = read_settings(params_file, round_id)
    facts = RunFacts("validate")
    streamed = {
        "rollouts": rollouts,
        "scores": scores,
        "segments": segments,
        "probes": probes,
        "gains": gains,
    }

    with facts.phase("validating"):
        renderer = Renderer.of_policy(policy)
        drawn = drawn_problems(settings.task)
        gate = check_round(
            SuiteRunner, round_id, settings, renderer, problems, drawn, text_format, streamed
        )
        num_rows = gate.num_rows
        found = {name: expectation_results(result) for name, result in gate.results.items()}
    summary = {
        name: {
            "num_rows": num_rows[name],
            "expectations": [asdict(outcome) for outcome in found[name]],
        }
        for name in found
    }
    if docs is not None:
        with facts.phase("documenting"):
            write_docs(docs, round_id, summary)

    refuse(round_id, found, num_rows, docs)
    write_json(validation, {"success": True, "tables": summary})
    facts.count(num_rows=sum(num_rows.values()), num_expectations=sum(map(len, found.values())))
    facts.write(validation)


class Settings(NamedTuple):
    """What params.yaml says of the round and of how its tables were made."""

    task: TaskParams
    round: Round
    rollout: Rollout
    segments: Segments
    probe: Probe
    inference: Inference


def read_settings(params_file: Path, round_id: str) -> Settings:
    """The sections that dvc.yaml names."""
    entry: Round = read_section(params_file, f"rounds.{round_id}", Round)
    recipe = f"recipes.{entry.recipe}"
    return Settings(
        task=read_section(params_file, "task", TaskParams),
        round=entry,
        rollout=read_section(params_file, f"{recipe}.rollout", Rollout),
        segments=read_section(params_file, f"{recipe}.segments", Segments),
        probe=read_section(params_file, f"{recipe}.probe", Probe),
        inference=read_section(params_file, "compute.inference", Inference),
    )


class Runner(Protocol):
    """What judges check frames."""

    def check_rows(self, name: str, rows: pd.DataFrame) -> None:
        """Hold some rows of a check frame against the expectations of rows."""

    def check_column(self, name: str, column: str, rows: pd.DataFrame) -> None:
        """Hold a whole column against its expectations."""


AnyRunner = TypeVar("AnyRunner", bound=Runner)


def check_round(
    open_runner: Callable[[Mapping[str, Any]], AnyRunner],
    round_id: str,
    settings: Settings,
    renderer: Renderer,
    problems: Path,
    drawn: pd.DataFrame | None,
    text_format: Path,
    streamed: Mapping[str, Path],
) -> AnyRunner:
    """Hold the problems, and the rest of a round some rollouts at a time, against the suites."""
    rollouts, problem_table = streamed["rollouts"], read_table(problems, PROBLEMS)
    sizes = group_sizes(read_batches(rollouts, ROLLOUTS, ["rollout_id", "problem_id"]))
    cue_tokens = renderer.cue_tokens(read_format(text_format))
    premises = Premises(
        round_id,
        settings.round.seed,
        problem_table,
        sizes,
        renderer,
        cue_tokens,
        rewards={verdict.value: verdict.reward for verdict in Verdict},
        partial_credit=settings.task.pays_parts,
        decision=None if settings.round.judge == EXACT else DECISION,
        probe=settings.probe,
    )
    batches = (
        read_batches(path, TABLES[name], max_rows=BATCH_ROWS, max_bytes=BATCH_BYTES)
        for name, path in streamed.items()
    )
    cuts = aligned("rollout_id", *batches)
    first = next(
        cuts
    )  # the tables' own contracts come before the seconds that Great Expectations takes
    runner = open_runner(suite_parameters(settings, renderer, len(cue_tokens)))
    runner.check_rows("problems", problems_frame(problem_table, drawn))
    with ProgressBar(
        f"validate {round_id}", count_rows(rollouts, ROLLOUTS), unit="rollout"
    ) as progress:
        for cut in chain([first], cuts):
            for name, frame in check_frames(premises, *cut):
                runner.check_rows(name, frame)
            progress.add(cut[0].num_rows)
    runner.check_column(
        "rollouts", "problem_id", pd.DataFrame({"problem_id": [*sizes]}, dtype="str")
    )
    seeded = partial(read_batches, rollouts, ROLLOUTS, ["rollout_id", "seed"])
    runner.check_column("rollouts", "seed", shared_seeds(seeded))
    return runner


def suite_parameters(settings: Settings, renderer: Renderer, num_cue_tokens: int) -> dict[str, Any]:
    """What the suites name {"$PARAMETER": …}."""
    rollout = settings.rollout
    min_num_probes, max_num_probes = settings.probe.num_answers
    return {
        "task_names": [settings.task.name],
        "policy_ids": [settings.round.parent],
        "difficulties": rollout.difficulties,
        "num_problems": rollout.num_problems,
        "group_size": rollout.group_size,
        "max_sample_index": rollout.group_size - 1,
        "temperature": float(np.float32(rollout.temperature)),
        "budget_tokens": rollout.budget_tokens,
        "max_answer_tokens": num_cue_tokens + rollout.answer_tokens,
        "min_logprob_nats": SMALLEST_NATS,
        "max_logprob_nats": 0.0 if settings.inference.is_exact else ROUNDING_NATS,
        "max_token": renderer.vocabulary_size - 1,
        "verdicts": [verdict.value for verdict in Verdict],
        **segment_bounds(settings.segments),
        "estimators": [settings.probe.estimator],
        "min_num_probes": min_num_probes,
        "max_num_probes": max_num_probes,
    }


def segment_bounds(segments: Segments) -> dict[str, Any]:
    """Which kinds of segment a cut gives, and how long one of thinking may be."""
    attempt = ["attempt"] if segments.finds_attempts else []
    return {
        "segment_kinds": [*attempt, "other", "answer"],
        "max_segment_tokens": segments.max_tokens,
    }


if __name__ == "__main__":
    command(main, writes=("validation", "docs"))

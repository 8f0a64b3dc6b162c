"""Hold every table of a round against its Great Expectations suite: the gate before `update`.

Reads   problems, rollouts, scores, segments, probes, gains, the parent policy's tokenizer; params.yaml
        `rounds.<round>`, its recipe's `rollout` and `probe`, `task`.
Writes  validation.json: for each table its rows and each expectation's outcome. Only where all of them hold; nothing
        is written otherwise, so nothing trains. With --docs also Data Docs: a folder of HTML pages, index.html first.
Method  Each table becomes a flat check frame (`stages.contracts.checks`): counts over lists, joins, residuals of the
        identities that must hold. Its suite (`stages/contracts/expectations/<table>.json`) judges the frame row by
        row; bounds written {"$PARAMETER": …} come from params.yaml and the policy. One process runs all suites, over
        the rows of some whole rollouts at a time (`stages.contracts.suites`), so memory does not grow with them.

Example: python -m stages.validate --round-id i1 --problems data/problems.parquet --policy data/policies/r0 \
         --rollouts data/rounds/i1/rollouts.parquet --scores data/rounds/i1/scores.parquet \
         --segments data/rounds/i1/segments.parquet --probes data/rounds/i1/probes.parquet \
         --gains data/rounds/i1/gains.parquet --validation data/rounds/i1/validation.json --docs data/docs/i1
"""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stages.contracts import params, recipe_params, tables
from stages.contracts.checks import Premises, check_frames, group_sizes, problems_frame, shared_seeds
from stages.contracts.errors import BadInput, command
from stages.contracts.facts import RunFacts
from stages.contracts.joins import aligned
from stages.contracts.progress import Progress
from stages.contracts.publish import atomic, write_json
from stages.contracts.render import Renderer
from stages.contracts.suites import Gate, Outcome, outcomes
from stages.contracts.task_params import ReasoningGymTask
from stages.pure.judgement import DECISION
from stages.tasks.formats import load_format
from stages.verifiers.verdict import Verdict

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult

BATCH_ROWS, BATCH_BYTES = 2**17, 2**25  # more than elsewhere: a suite takes a second however few the rows
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:.3rem 0 1rem;width:100%}th,td{border-bottom:1px solid #ddd;padding:.35rem .6rem;
text-align:left;vertical-align:top}th{color:#666;font-weight:600}h1,h5{margin:1.2rem 0 .3rem}h5{font-size:1.05rem}
[id$=subheader] *{font-size:1rem;font-weight:400;color:#666;margin:0}
.badge{background:#eef;border-radius:.3rem;padding:0 .35rem;font-family:monospace}.text-danger{color:#b00020}
.text-success{color:#0a7a2f}.fa-check-circle::before{content:"\\2713  holds"}.fa-times::before{content:"\\2717  broken"}
i{font-style:normal;white-space:nowrap}a{color:#0b57d0}
"""


def main(
    round_id: str,
    problems: Path,
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
    settings = params.load(params_file)
    facts = RunFacts("validate")
    streamed = {"rollouts": rollouts, "scores": scores, "segments": segments, "probes": probes, "gains": gains}

    with facts.phase("validating"):
        gate = judge_round(round_id, settings, Renderer.of_policy(policy), problems, streamed)
        results, num_rows = gate.results, gate.num_rows
        found = {name: outcomes(result) for name, result in results.items()}
    if docs is not None:
        with facts.phase("documenting"):
            write_docs(docs, round_id, results, found, num_rows)

    refuse(round_id, found, num_rows, docs)
    summary = {
        name: {"num_rows": num_rows[name], "expectations": [asdict(outcome) for outcome in found[name]]}
        for name in found
    }
    write_json(validation, {"success": True, "tables": summary})
    facts.count(num_rows=sum(num_rows.values()), num_expectations=sum(map(len, found.values())))
    facts.write(validation)


def judge_round(
    round_id: str, settings: params.Params, renderer: Renderer, problems: Path, streamed: Mapping[str, Path]
) -> Gate:
    """Hold the problems, and all else of a round some rollouts at a time, against the suites."""
    rollouts, asked = streamed["rollouts"], tables.read(problems, tables.PROBLEMS)
    sizes = group_sizes(tables.batches(rollouts, tables.ROLLOUTS, ["rollout_id", "problem_id"]))
    entry, cue_tokens = settings.rounds[round_id], renderer.cue_tokens(load_format(settings.task))
    premises = Premises(
        round_id,
        asked,
        sizes,
        renderer,
        cue_tokens,
        rewards={verdict.value: verdict.reward for verdict in Verdict},
        partial_credit=isinstance(settings.task, ReasoningGymTask) and settings.task.partial_credit,
        decision=None if entry.judge == params.EXACT else DECISION,
        probe=settings.recipes[entry.recipe].probe,
    )
    batches = (
        tables.batches(path, tables.TABLES[name], max_rows=BATCH_ROWS, max_bytes=BATCH_BYTES)
        for name, path in streamed.items()
    )
    cuts = aligned("rollout_id", *batches)
    first = next(cuts)  # the tables' own contracts come before the seconds that Great Expectations takes
    gate = Gate(suite_parameters(settings, round_id, renderer, len(cue_tokens)))
    gate.judge("problems", problems_frame(asked))
    with Progress(f"validate {round_id}", tables.count_rows(rollouts, tables.ROLLOUTS), unit="rollout") as progress:
        for parts in chain([first], cuts):
            for name, frame in check_frames(premises, *parts):
                gate.judge(name, frame)
            progress.add(parts[0].num_rows)
    gate.judge_whole("rollouts", "problem_id", pd.DataFrame({"problem_id": [*sizes]}, dtype="str"))
    seeded = partial(tables.batches, rollouts, tables.ROLLOUTS, ["rollout_id", "seed"])
    gate.judge_whole("rollouts", "seed", shared_seeds(seeded))
    return gate


def suite_parameters(settings: params.Params, round_id: str, renderer: Renderer, num_cue_tokens: int) -> dict[str, Any]:
    """What the suites name {"$PARAMETER": …}."""
    entry = settings.rounds[round_id]
    recipe = settings.recipes[entry.recipe]
    rollout = recipe.rollout
    min_num_probes, max_num_probes = num_probes(recipe.probe)
    return {
        "task_names": [settings.task.name],
        "policy_ids": [entry.parent],
        "difficulties": rollout.difficulties,
        "num_problems": rollout.num_problems,
        "group_size": rollout.group_size,
        "max_sample_index": rollout.group_size - 1,
        "temperature": float(np.float32(rollout.temperature)),
        "budget_tokens": rollout.budget_tokens,
        "max_completion_tokens": rollout.budget_tokens + num_cue_tokens + rollout.answer_tokens,
        "max_token": renderer.vocabulary_size - 1,
        "verdicts": [verdict.value for verdict in Verdict],
        **segment_bounds(recipe.segments),
        "estimators": [recipe.probe.estimator],
        "min_num_probes": min_num_probes,
        "max_num_probes": max_num_probes,
    }


def segment_bounds(segments: recipe_params.Segments) -> dict[str, Any]:
    """Which kinds of segment a cut gives, and how long one of thinking may be; None where there is no bound."""
    is_marked = isinstance(segments, recipe_params.MarkerSegments)
    return {
        "segment_kinds": ["attempt", "other", "answer"] if is_marked else ["other", "answer"],
        "max_segment_tokens": segments.num_tokens if isinstance(segments, recipe_params.FixedSegments) else None,
    }


def num_probes(probe: recipe_params.Probe) -> tuple[int, int | None]:
    """Fewest and most answers that a boundary may have; None where there is no bound."""
    match probe:
        case recipe_params.Critic():
            return 0, 0
        case recipe_params.AnswerLikelihood():
            return 1, 1
        case recipe_params.SetLikelihood():
            return 1, None
        case recipe_params.ForcedAnswer(adaptive=recipe_params.AdaptiveProbes(max_probes=most)):
            return probe.num_probes, most
        case _:
            return probe.num_probes, probe.num_probes


def refuse(
    round_id: str, found: Mapping[str, Sequence[Outcome]], num_rows: Mapping[str, int], docs: Path | None
) -> None:
    """Stop where an expectation does not hold.

    Raises:
        BadInput: one line for each broken expectation, naming table, column, count and first offender.
    """
    broken = list(_broken(found))
    if not broken:
        return
    lines = [f"  {_explain(name, outcome, num_rows[name])}" for name, outcome in broken]
    seen = f"; all outcomes in {docs / 'index.html'}" if docs else ""
    raise BadInput(
        f"round {round_id}: {len(broken)} expectation(s) broken, so nothing trains on it{seen}:\n"
        + "\n".join(lines)
        + "\nmend the stage that wrote the table (problems: prepare; rollouts: rollout; scores, segments: score; "
        "probes: probe; gains: infogain) or delete its file, then run `dvc repro`"
    )


def _broken(found: Mapping[str, Sequence[Outcome]]) -> Iterator[tuple[str, Outcome]]:
    return ((name, outcome) for name in found for outcome in found[name] if not outcome.success)


def _explain(table: str, outcome: Outcome, num_rows: int) -> str:
    assert outcome.first is not None
    bounds = ", ".join(f"{key} {value}" for key, value in outcome.bounds.items())
    rule = f"'{outcome.notes}'" + (f" ({bounds})" if bounds else "")
    if outcome.column not in outcome.first:
        return f"table {table}, column {outcome.column}: {outcome.first['observed_value']} found; the rule is {rule}"
    key = ", ".join(f"{name}={outcome.first[name]}" for name in tables.TABLES[table].key)
    return (
        f"table {table}, column {outcome.column}: {outcome.unexpected_count} of {num_rows} rows break {rule}; "
        f"first {key} has {outcome.first[outcome.column]}"
    )


def write_docs(
    docs: Path,
    round_id: str,
    results: "Mapping[str, ExpectationSuiteValidationResult]",
    found: Mapping[str, Sequence[Outcome]],
    num_rows: Mapping[str, int],
) -> None:
    """Write one page a table, as Great Expectations renders it, then index.html. No page loads anything."""
    docs.mkdir(parents=True, exist_ok=True)
    home = '<p><a href="index.html">all tables</a></p>'
    for name, result in results.items():
        notes = {outcome.column: outcome.notes for outcome in found[name]}
        _write_page(docs / f"{name}.html", f"Round {round_id}: {name}", [home, *_sections(result, notes)])
    rows = [
        f'<tr><td><a href="{name}.html">{name}</a></td><td>{num_rows[name]}</td><td>{len(found[name])}</td>'
        f"<td>{sum(not outcome.success for outcome in found[name])}</td></tr>"
        for name in results
    ]
    broken = [
        f'<li class="text-danger">{html.escape(_explain(name, outcome, num_rows[name]))}</li>'
        for name, outcome in _broken(found)
    ]
    head = "<tr><th>table</th><th>rows</th><th>expectations</th><th>broken</th></tr>"
    body = ["<table>", head, *rows, "</table>", "<ul>", *broken, "</ul>"]
    _write_page(docs / "index.html", f"Round {round_id}: are its tables fit to train on?", body)


def _sections(result: "ExpectationSuiteValidationResult", notes: Mapping[str, str]) -> Iterator[str]:
    """One HTML section a column. The page around them is our own: theirs loads its looks from the network."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaSectionView

    _overview, *sections = ValidationResultsPageRenderer().render(result).sections
    view = DefaultJinjaSectionView()
    for index, section in enumerate(sections):
        section.content_blocks[0].subheader = html.escape(notes[section.section_name])
        yield view.render({"section": section.to_json_dict(), "section_loop": {"index": index}})


def _write_page(path: Path, title: str, body: Sequence[str]) -> None:
    head = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
    page = [head, f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>", *body, "</body></html>"]
    with atomic(path) as beside:
        beside.write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    command(main)

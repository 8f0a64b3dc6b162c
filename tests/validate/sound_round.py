"""A small round in which every table agrees with every other, as the gate's inputs are."""

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import yaml

from fixtures.checkouts import PROFILES, ROOT
from fixtures.rows import row
from stages.contracts.params.recipes.probe import (
    AnswerLikelihood,
    Critic,
    Probe,
    SetLikelihood,
)
from stages.contracts.params.whole import Params, load
from stages.contracts.render import Renderer
from stages.contracts.tables.all import TABLES
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.token_text import span_texts, token_texts
from stages.contracts.verdict import Verdict
from stages.infogain import gains_of
from stages.pure.seeds import derive_seed
from stages.pure.segments import marker_boundaries
from stages.tasks.formats import load_format
from stages.tasks.rows import problem_row
from stages.tasks.sources import load_source
from stages.tasks.task import Problem
from stages.tasks.task_format import TaskFormat

ROUND, SEED = "i1", 1
NAMES = ("problems", "rollouts", "scores", "segments", "probes", "gains")
NUM_PROBLEMS, GROUP_SIZE = 3, 5
MAX_THINKING_TOKENS = 36
SAMPLED_ANSWERS = ("1 + 1 2", "2 + 1 3", "2  + 1 3 ", "3 + 1 4")
"""Of three kinds: one differs from another in white space alone."""

Rows = dict[str, list[dict[str, Any]]]


def probes_by_estimator() -> dict[str, dict[str, Any]]:
    """Settings of every estimator there is, as the profile with all variants has them."""
    recipes = load(PROFILES / "variants.yaml").recipes.values()
    settings = {recipe.probe.estimator: recipe.probe.model_dump(mode="json") for recipe in recipes}
    assert len(settings) == len(get_args(get_args(Probe)[0]))
    return settings


PROBE_SETTINGS = probes_by_estimator()
EVERY_BOUNDARY = {"boundary_frac": None, "adaptive": None}
"""Changes to `forced_answer`, which the profile lets skip boundaries."""


def settings_file(folder: Path, estimator: str, **changes: Any) -> Path:
    """The repository's params.yaml with a tiny round and few problems."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw["task"]["tiers"] = [
        {"num_numbers": n, "num_train": 8, "num_heldout": 2, "num_reserved": 0} for n in (3, 4)
    ]
    entry = {"parent": "r0", "reference": "r0", "recipe": "information", "judge": "exact"}
    raw["rounds"] = {ROUND: {**entry, "seed": SEED}}
    raw["exams"] = {"r0": {"judge": "exact"}}
    recipe = raw["recipes"]["information"]
    raw["recipes"] = {"information": recipe}
    sizes = {"num_problems": NUM_PROBLEMS, "group_size": GROUP_SIZE}
    recipe["rollout"] |= {**sizes, "difficulties": [3], "temperature": 1.0}
    recipe["probe"] = {**PROBE_SETTINGS[estimator], **changes}
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return path


def sound_rows(
    settings: Params, renderer: Renderer, endings: Sequence[int] = range(GROUP_SIZE)
) -> Rows:
    """Rows of a small round; sample i of a group has ending i."""
    source, form, rng = load_source(settings.task), load_format(settings.task), random.Random(0)
    problems = list(source.problems())
    drawn = [p for p in problems if p.split == "train" and p.difficulty == 3][:NUM_PROBLEMS]
    rows: Rows = {name: [] for name in NAMES}
    rows["problems"] = [problem_row(settings.task.name, problem) for problem in problems]
    changes = {
        "num_demos": GROUP_SIZE,
        "difficulty_weights": {3: 1.0},
        "immediate_answer_frac": 0.0,
    }
    shown = settings.inits["r0"].demonstrations.model_copy(update=changes)
    probe = settings.recipes["information"].probe
    for number, problem in enumerate(drawn):
        for index, demo in enumerate(source.demonstrations([problem], shown, seed=number)):
            rollout = rollout_row(problem, index, endings[index], demo.text, form, renderer, rng)
            rows["rollouts"].append(rollout)
            rows["scores"].append(score_row(rollout, renderer, rng))
            segments = segment_rows(rollout, form, renderer)
            rows["segments"] += segments
            probes, gains = probed_rows(segments, source.solutions(problem), probe, rng)
            rows["probes"] += probes
            rows["gains"] += gains
    return {
        name: sorted(rows[name], key=lambda made: [made[column] for column in TABLES[name].key])
        for name in NAMES
    }


def rollout_row(
    problem: Problem,
    index: int,
    ending: int,
    text: str,
    form: TaskFormat,
    renderer: Renderer,
    rng: random.Random,
) -> dict[str, Any]:
    """A completion with one of the endings there are.

    0 by itself, 1 forced, 2 forced without an end, 3 by an answer without thinking, 4 without an
    answer.
    """
    thinking, _, answer = text.rpartition(form.cue)
    thought = [] if ending == 3 else renderer.encode(thinking)[:MAX_THINKING_TOKENS]
    cue, answered = renderer.encode(form.cue), [*renderer.encode(answer), renderer.eos_token]
    if ending == 4:
        thought, cue, answered = [*thought, renderer.eos_token], [], []
    if ending == 2:
        answered = answered[:-1]
    tokens = [*thought, *cue, *answered]
    forced = range(len(thought), len(thought) + len(cue)) if ending in (1, 2) else range(0)
    return row(
        ROLLOUTS,
        rollout_id=f"{ROUND}/{problem.problem_id}/{index}",
        problem_id=problem.problem_id,
        sample_index=index,
        prompt_tokens=renderer.encode(problem.prompt),
        prompt_text=problem.prompt,
        completion_tokens=tokens,
        completion_text=renderer.text(tokens),
        cue=forced,
        sampler_logprobs=[0.0 if i in forced else -rng.random() for i in range(len(tokens))],
        num_thinking_tokens=len(thought),
        finish_reason=("stop", "forced", "length", "stop", "stop")[ending],
        seed=derive_seed("rollout", SEED, problem.problem_id, index),
    )


def score_row(rollout: Mapping[str, Any], renderer: Renderer, rng: random.Random) -> dict[str, Any]:
    """A verdict drawn at random, for the gate does not judge."""
    answer = rollout["completion_tokens"][rollout["num_thinking_tokens"] + 1 :]
    verdict = rng.choice([Verdict.CORRECT, Verdict.INCORRECT])
    rollout_id = rollout["rollout_id"]
    return row(SCORES, rollout_id=rollout_id, verdict=verdict, answer=renderer.decode(answer))


def segment_rows(
    rollout: Mapping[str, Any], form: TaskFormat, renderer: Renderer
) -> list[dict[str, Any]]:
    """Attempts cut at their markers, and the answer."""
    tokens, num_thinking = rollout["completion_tokens"], rollout["num_thinking_tokens"]
    words = token_texts(renderer, tokens[:num_thinking])
    cuts = marker_boundaries(words, form.segment_ends, np.ones(num_thinking, dtype=bool))
    spans = [(start, end, "attempt") for start, end in pairwise(cuts)]
    if num_thinking < len(tokens):
        spans.append((num_thinking, len(tokens), "answer"))
    rows = []
    texts = span_texts(tokens, [end for _, end, _ in spans], renderer.text)
    for index, ((start, end, kind), text) in enumerate(zip(spans, texts, strict=True)):
        place = {"rollout_id": rollout["rollout_id"], "segment_index": index, "kind": kind}
        rows.append(row(SEGMENTS, **place, start_token=start, end_token=end, text=text))
    return rows


def probed_rows(
    segments: Sequence[Mapping[str, Any]],
    solutions: list[str],
    probe: Probe,
    rng: random.Random,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Probes of a rollout's boundaries, and the gains that `infogain` makes of them.

    A recipe that may skip boundaries probes every other one. Rewards of sampled answers are drawn.
    """
    positions = [0, *(one["end_token"] for one in segments if one["kind"] != "answer")]
    last, may_skip = len(positions) - 1, probe.is_thinned
    probes, rewards = [], {}
    for index, position in enumerate(positions):
        if may_skip and index % 2 and index != last:
            continue
        place = {"rollout_id": segments[0]["rollout_id"], "boundary_index": index}
        made = probe_row(probe, solutions, rng, **place, position=position)
        if probe.success_from == "sampled_answers":
            num_right = rng.randrange(probe.num_probes + 1)
            rewards[len(probes)] = (np.arange(probe.num_probes) < num_right).astype(float)
        probes.append(made)
    gains = gains_of(pa.Table.from_pylist(probes, PROBES.schema), rewards, probe)
    assert gains.schema == GAINS.schema
    return probes, gains.to_pylist()


def probe_row(
    probe: Probe, solutions: list[str], rng: random.Random, **place: Any
) -> dict[str, Any]:
    """A boundary as its estimator leaves it."""
    match probe:
        case SetLikelihood():
            answers = solutions
        case AnswerLikelihood():
            answers = solutions[:1]
        case Critic():
            answers = []
        case _:
            answers = [rng.choice(SAMPLED_ANSWERS) for _ in range(probe.num_probes)]
    logprobs = [float(np.float32(-rng.uniform(1, 9) - len(solutions))) for _ in answers]
    value = float(np.float32(rng.random())) if isinstance(probe, Critic) else None
    estimator = probe.estimator
    return row(
        PROBES, **place, estimator=estimator, answers=answers, answer_logprobs=logprobs, value=value
    )

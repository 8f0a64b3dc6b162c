"""Check frames: each table of a round as flat columns that an expectation can judge by row.

A frame keeps its table's key and grain and adds derived columns: counts over lists, joins with the
other tables, and residuals of identities that must hold. A residual is 0 where the identity holds
and infinite where one side is missing; NaN means that it says nothing about the row.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stages.contracts.params.recipes.probe import Probe
from stages.contracts.render import Renderer
from stages.pure.seeds import derive_seed
from stages.validate.frames import (
    SEGMENT,
    UNKNOWN,
    ids,
    lengths_of,
    looked_up,
    ragged,
    residual,
    scalars,
)
from stages.validate.probe_checks import gains_frame, probes_frame
from stages.validate.token_checks import (
    add_cues,
    add_sampled,
    add_segment_texts,
    add_texts,
    add_tokens,
    answer_texts,
)

INCORRECT = "incorrect"


@dataclass(frozen=True)
class Premises:
    """What the tables of a round are held against, beside each other.

    `seed` is the round's; `group_sizes` is how many rollouts ask each problem; `rewards` the reward
    of each verdict; with `partial_credit` an incorrect answer may earn anything from 0 to below 1
    instead; `decision` is the least score at which the round's judge rewards an answer, None where
    the exact verifier judges alone.
    """

    round_id: str
    seed: int
    problems: pa.Table
    group_sizes: Mapping[str, int]
    renderer: Renderer
    cue_tokens: Sequence[int]
    rewards: Mapping[str, float | None]
    partial_credit: bool
    decision: float | None
    probe: Probe


def check_frames(
    premises: Premises,
    rollouts: pa.Table,
    scores: pa.Table,
    segments: pa.Table,
    probes: pa.Table,
    gains: pa.Table,
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The check frame of each table, of whole rollouts: all their rows, in the order of their key.

    One at a time.
    """
    frames: dict[str, Callable[[], pd.DataFrame]] = {
        "rollouts": lambda: rollouts_frame(rollouts, scores, segments, probes, premises),
        "scores": lambda: scores_frame(scores, rollouts, premises),
        "segments": lambda: segments_frame(segments, rollouts, gains, premises.renderer),
        "probes": lambda: probes_frame(probes, rollouts, segments, premises.probe),
        "gains": lambda: gains_frame(
            gains, segments, probes, premises.probe, premises.partial_credit
        ),
    }
    for name, frame in frames.items():
        with np.errstate(
            all="ignore"
        ):  # numbers out of their range must reach the expectations, not warn here
            made = frame()
        yield name, made


def group_sizes(rollouts: Iterable[pa.Table]) -> dict[str, int]:
    """How many rollouts ask each problem, from some rows at a time."""
    sizes: Counter[str] = Counter()
    for batch in rollouts:
        for counted in pc.value_counts(batch["problem_id"]).to_pylist():
            sizes[counted["values"]] += counted["counts"]
    return sizes


def shared_seeds(read: Callable[[], Iterable[pa.Table]]) -> pd.DataFrame:
    """The rollouts whose seed is not theirs alone: rollout_id and seed.

    Eight bytes a rollout are held. `read` gives the rollouts some rows at a time, as often as it is
    called.
    """
    seeds = np.sort(np.concatenate([batch["seed"].to_numpy() for batch in read()]))
    shared = pa.array(np.unique(seeds[1:][seeds[1:] == seeds[:-1]]))
    sharing = [
        batch.filter(pc.is_in(batch["seed"], shared))
        for batch in (read() if len(shared) else islice(read(), 1))
    ]
    return pa.concat_tables(sharing).to_pandas()


def rollouts_frame(
    rollouts: pa.Table, scores: pa.Table, segments: pa.Table, probes: pa.Table, premises: Premises
) -> pd.DataFrame:
    """One row per rollout: itself, its group, its problem, and whether later tables cover it."""
    frame = scalars(rollouts)
    frame["num_group_rollouts"] = [
        premises.group_sizes[problem_id] for problem_id in frame["problem_id"]
    ]
    derived = (
        premises.round_id + "/" + frame["problem_id"] + "/" + frame["sample_index"].astype(str)
    )
    frame["is_id_derived"] = frame["rollout_id"] == derived
    names = zip(frame["problem_id"], frame["sample_index"], strict=True)
    seeds = [derive_seed("rollout", premises.seed, name, index) for name, index in names]
    frame["is_seed_derived"] = frame["seed"] == pd.Series(seeds, dtype="int64")
    # an expectation passes over what is missing, and every rollout has a temperature
    frame["temperature"] = frame["temperature"].fillna(np.inf)
    add_tokens(frame, rollouts, premises.renderer)
    add_cues(frame, rollouts, premises.cue_tokens)
    add_texts(frame, rollouts, premises.renderer)
    _add_problem(frame, rollouts, premises)
    _add_coverage(frame, scores, segments, probes, premises)
    return frame


def scores_frame(scores: pa.Table, rollouts: pa.Table, premises: Premises) -> pd.DataFrame:
    """One row per score: whether its rollout exists, its reward may be, its answer is its own."""
    frame = scalars(scores)
    frame["is_of_known_rollout"] = frame["rollout_id"].isin(ids(rollouts))
    due = frame["verdict"].map(
        {verdict: np.nan if r is None else r for verdict, r in premises.rewards.items()}
    )
    due = due.astype(float)
    if premises.partial_credit:
        is_part = (frame["verdict"] == INCORRECT) & frame["reward"].between(0, 1, inclusive="left")
        due = due.mask(is_part, frame["reward"])
    if premises.decision is not None:
        due = (frame["judge_score"] >= premises.decision).astype(float)
    is_judged = frame["judge_score"].notna()
    due = due.where(is_judged == (premises.decision is not None), np.inf)
    frame["reward_residual"] = residual(frame["reward"], scores["reward"], due)
    told = frame["rollout_id"].map(answer_texts(rollouts, premises.renderer))
    frame["is_answer_of_rollout"] = (frame["answer"] == told) | told.isna()
    return frame


def segments_frame(
    segments: pa.Table, rollouts: pa.Table, gains: pa.Table, renderer: Renderer
) -> pd.DataFrame:
    """One row per segment: where it lies beside its neighbours, and whether it has its gain."""
    frame = scalars(segments)
    by_rollout = frame.groupby("rollout_id")
    position = by_rollout.cumcount()
    is_last = position == by_rollout["rollout_id"].transform("size") - 1
    is_answer = frame["kind"] == "answer"
    lengths = pd.Series(lengths_of(rollouts["completion_tokens"]), index=ids(rollouts))
    thinking = (
        rollouts.select(["rollout_id", "num_thinking_tokens"]).to_pandas().set_index("rollout_id")
    )

    frame["is_of_known_rollout"] = frame["rollout_id"].isin(ids(rollouts))
    frame["index_gap"] = frame["segment_index"] - position
    frame["num_tokens"] = frame["end_token"] - frame["start_token"]
    add_sampled(frame, rollouts)
    add_segment_texts(frame, rollouts, renderer)
    frame["num_sampled_tokens"] = frame["num_sampled_tokens"].mask(is_answer)
    frame["is_start_sampled"] |= is_answer
    frame["start_gap_tokens"] = frame["start_token"] - by_rollout["end_token"].shift(fill_value=0)
    frame["tail_gap_tokens"] = (looked_up(frame["rollout_id"], lengths) - frame["end_token"]).where(
        is_last
    )
    frame["is_answer_last"] = is_last | ~is_answer
    is_cued = frame["start_token"] == looked_up(
        frame["rollout_id"], thinking["num_thinking_tokens"]
    )
    frame["is_answer_at_cue"] = is_cued | ~is_answer
    credited = pd.MultiIndex.from_frame(scalars(gains)[SEGMENT])
    frame["is_credited"] = pd.MultiIndex.from_frame(frame[SEGMENT]).isin(credited) | is_answer
    return frame


def _add_problem(frame: pd.DataFrame, rollouts: pa.Table, premises: Premises) -> None:
    """Columns about a rollout's problem: its split, its difficulty, its prompt."""
    is_asked = pc.is_in(premises.problems["problem_id"], rollouts["problem_id"])
    sampled_problems = premises.problems.select(
        ["problem_id", "split", "difficulty", "prompt"]
    ).filter(is_asked)
    known = sampled_problems.to_pandas().set_index("problem_id")
    frame["problem_split"] = frame["problem_id"].map(known["split"]).fillna(UNKNOWN)
    frame["difficulty"] = looked_up(frame["problem_id"], known["difficulty"])
    prompts = {
        problem_id: np.asarray(premises.renderer.prompt_tokens(prompt), dtype=np.int64).tobytes()
        for problem_id, prompt in known["prompt"].items()
    }
    shown = ragged(rollouts["prompt_tokens"])
    ends = shown.lengths.cumsum()
    spans = zip(frame["problem_id"], ends - shown.lengths, ends, strict=True)
    values = shown.values.astype(np.int64)
    frame["is_prompt_of_problem"] = [
        problem_id not in prompts or prompts[problem_id] == values[start:end].tobytes()
        for problem_id, start, end in spans
    ]


def _add_coverage(
    frame: pd.DataFrame, scores: pa.Table, segments: pa.Table, probes: pa.Table, premises: Premises
) -> None:
    """Columns about what the later tables hold of a rollout."""
    frame["is_scored"] = frame["rollout_id"].isin(ids(scores))
    cut = segments.select(["rollout_id", "kind"]).to_pandas()
    is_answer = cut["kind"] == "answer"
    num_thinking = looked_up(
        frame["rollout_id"], cut["rollout_id"][~is_answer].value_counts()
    ).fillna(0)
    num_answers = looked_up(
        frame["rollout_id"], cut["rollout_id"][is_answer].value_counts()
    ).fillna(0)
    place = probes.select(["rollout_id", "boundary_index"]).to_pandas()
    last = looked_up(place["rollout_id"], num_thinking.set_axis(frame["rollout_id"]))
    is_needed = (
        place["boundary_index"].isin([0])
        | (place["boundary_index"] == last)
        | (not premises.probe.is_thinned)
    )
    num_boundaries = looked_up(
        frame["rollout_id"], place["rollout_id"][is_needed].value_counts()
    ).fillna(0)
    num_needed = num_thinking.clip(upper=1) if premises.probe.is_thinned else num_thinking
    frame["num_segments"] = num_thinking + num_answers
    frame["num_missing_answer_segments"] = (frame["num_answer_tokens"] > 0).astype(
        int
    ) - num_answers
    frame["num_missing_boundaries"] = num_needed + 1 - num_boundaries

"""Check frames: each table of a round as flat columns that an expectation can judge one row at a time.

A frame keeps its table's key and grain and adds derived columns: counts over lists, joins with the other tables, and
residuals of identities that must hold. A residual is 0 where the identity holds and infinite where one side is missing;
NaN means that it says nothing about the row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stages.contracts.render import Renderer
from stages.contracts.tables import TABLES

UNKNOWN = "unknown"
SEGMENT = ["rollout_id", "segment_index"]


@dataclass(frozen=True)
class Premises:
    """What the tables of a round are held against, beside each other. `rewards` is the reward of each verdict."""

    round_id: str
    renderer: Renderer
    cue_tokens: Sequence[int]
    rewards: Mapping[str, float | None]


def check_frames(round_tables: Mapping[str, pa.Table], premises: Premises) -> dict[str, pd.DataFrame]:
    """The check frame of each table of a round, rows in the order of their key."""
    data = {
        name: table.sort_by([(column, "ascending") for column in TABLES[name].key])
        for name, table in round_tables.items()
    }
    problems, rollouts, scores = data["problems"], data["rollouts"], data["scores"]
    segments, probes, gains = data["segments"], data["probes"], data["gains"]
    with np.errstate(all="ignore"):  # numbers out of their range must reach the expectations, not warn here
        return {
            "problems": problems_frame(problems),
            "rollouts": rollouts_frame(rollouts, problems, scores, segments, probes, premises),
            "scores": scores_frame(scores, rollouts, premises),
            "segments": segments_frame(segments, rollouts, gains),
            "probes": probes_frame(probes, rollouts, segments),
            "gains": gains_frame(gains, segments, probes),
        }


def problems_frame(problems: pa.Table) -> pd.DataFrame:
    """One row per problem, and in how many splits its prompt stands."""
    frame = _scalars(problems)
    frame["num_prompt_splits"] = frame.groupby("prompt")["split"].transform("nunique")
    return frame


def rollouts_frame(
    rollouts: pa.Table, problems: pa.Table, scores: pa.Table, segments: pa.Table, probes: pa.Table, premises: Premises
) -> pd.DataFrame:
    """One row per rollout: itself, its group, its problem, and whether the later tables cover it."""
    frame = _scalars(rollouts)
    group = frame.groupby("problem_id")
    frame["num_group_rollouts"] = group["rollout_id"].transform("size")
    derived = premises.round_id + "/" + frame["problem_id"] + "/" + frame["sample_index"].astype(str)
    frame["is_id_derived"] = frame["rollout_id"] == derived
    _add_tokens(frame, rollouts, premises)
    _add_problem(frame, rollouts, problems, premises)
    _add_coverage(frame, scores, segments, probes)
    return frame


def scores_frame(scores: pa.Table, rollouts: pa.Table, premises: Premises) -> pd.DataFrame:
    """One row per score: whether its rollout exists, and whether reward and answer are those of verdict and rollout."""
    frame = _scalars(scores)
    frame["is_of_known_rollout"] = frame["rollout_id"].isin(_ids(rollouts))
    due = frame["verdict"].map({verdict: np.nan if r is None else r for verdict, r in premises.rewards.items()})
    frame["reward_residual"] = _residual(frame["reward"], scores["reward"], due)
    answers = pd.Series(_answers(rollouts, premises), index=_ids(rollouts))
    told = frame["rollout_id"].map(answers)
    frame["is_answer_of_rollout"] = (frame["answer"] == told) | told.isna()
    return frame


def segments_frame(segments: pa.Table, rollouts: pa.Table, gains: pa.Table) -> pd.DataFrame:
    """One row per segment: where it lies beside its neighbours and its completion, and whether it has its gain."""
    frame = _scalars(segments)
    own = frame.groupby("rollout_id")
    position = own.cumcount()
    is_last = position == own["rollout_id"].transform("size") - 1
    is_answer = frame["kind"] == "answer"
    lengths = pd.Series(_lengths(rollouts["completion_tokens"]), index=_ids(rollouts))
    thinking = rollouts.select(["rollout_id", "num_thinking_tokens"]).to_pandas().set_index("rollout_id")

    frame["is_of_known_rollout"] = frame["rollout_id"].isin(_ids(rollouts))
    frame["index_gap"] = frame["segment_index"] - position
    frame["num_tokens"] = frame["end_token"] - frame["start_token"]
    frame["start_gap_tokens"] = frame["start_token"] - own["end_token"].shift(fill_value=0)
    frame["tail_gap_tokens"] = (frame["rollout_id"].map(lengths) - frame["end_token"]).where(is_last)
    frame["is_answer_last"] = is_last | ~is_answer
    is_cued = frame["start_token"] == frame["rollout_id"].map(thinking["num_thinking_tokens"])
    frame["is_answer_at_cue"] = is_cued | ~is_answer
    credited = pd.MultiIndex.from_frame(_scalars(gains)[SEGMENT])
    frame["is_credited"] = pd.MultiIndex.from_frame(frame[SEGMENT]).isin(credited) | is_answer
    return frame


def probes_frame(probes: pa.Table, rollouts: pa.Table, segments: pa.Table) -> pd.DataFrame:
    """One row per boundary: its position against the segments, its answers, and the success they amount to."""
    frame = _scalars(probes)
    frame["is_of_known_rollout"] = frame["rollout_id"].isin(_ids(rollouts))
    frame["index_gap"] = frame["boundary_index"] - frame.groupby("rollout_id").cumcount()
    frame["position_gap_tokens"] = frame["position"] - _boundary_positions(frame, segments)

    logprobs, num_answers = _ragged(probes["answer_logprobs"]), _lengths(probes["answers"])
    frame["num_missing_answers"] = frame["num_probes"] - num_answers
    frame["num_missing_answer_logprobs"] = num_answers - logprobs.lengths
    frame["num_nonfinite_answer_logprobs"] = logprobs.count(~np.isfinite(logprobs.values))
    frame["max_answer_logprob"] = logprobs.reduce("max")

    frame["num_repeated_answers"] = _num_repeats(probes["answers"]).where(_is_set(frame))
    log_success = _log_set_success(probes)
    frame["set_success"] = np.exp(log_success)
    frame["gold_logprob_residual"] = _residual(frame["gold_logprob_nats"], probes["gold_logprob_nats"], log_success)
    return frame


def gains_frame(gains: pa.Table, segments: pa.Table, probes: pa.Table) -> pd.DataFrame:
    """One row per gain: its segment, and the residual of each number against the probes and against its neighbours."""
    frame = _scalars(gains)
    kinds = segments.select([*SEGMENT, "kind"]).to_pandas().set_index(SEGMENT)["kind"]
    frame["segment_kind"] = kinds.reindex(pd.MultiIndex.from_frame(frame[SEGMENT])).fillna(UNKNOWN).to_numpy()
    _add_probe_residuals(frame, gains, probes)

    own = frame.groupby("rollout_id")
    is_first, is_last = own.cumcount() == 0, own.cumcount(ascending=False) == 0
    before, after = frame["success_before"], frame["success_after"]
    previous = own[["success_after", "num_judged_after"]].shift()
    is_same_success = (before == previous["success_after"]) | (before.isna() & previous["success_after"].isna())
    is_same_count = frame["num_judged_before"] == previous["num_judged_after"]
    frame["is_unbroken"] = (is_same_success & is_same_count) | is_first
    frame["progress_residual"] = _residual(frame["progress"], gains["progress"], after - before)
    start = before.where(is_first).groupby(frame["rollout_id"]).ffill()
    total = own["progress"].cumsum(skipna=False)
    frame["telescoping_residual"] = (total - (after - start)).abs().where(is_last)
    return frame


def _add_tokens(frame: pd.DataFrame, rollouts: pa.Table, premises: Premises) -> None:
    """Columns about a completion's tokens: vocabulary, log-probabilities, end of text, forced span."""
    tokens, logprobs = _ragged(rollouts["completion_tokens"]), _ragged(rollouts["sampler_logprobs"])
    num_tokens = pd.Series(tokens.lengths)
    frame["num_tokens"] = num_tokens
    frame["num_answer_tokens"] = num_tokens - frame["num_thinking_tokens"]
    frame["min_token"] = tokens.reduce("min")
    frame["max_token"] = tokens.reduce("max")
    frame["num_missing_logprobs"] = num_tokens - logprobs.lengths
    frame["num_nonfinite_logprobs"] = logprobs.count(~np.isfinite(logprobs.values))
    frame["max_logprob"] = logprobs.reduce("max")

    is_eos = tokens.values == premises.renderer.eos_token
    is_last = tokens.positions == tokens.lengths[tokens.owners] - 1
    frame["num_early_eos"] = tokens.count(is_eos & ~is_last)
    is_ended = tokens.count(is_eos & is_last) == 1
    frame["is_end_as_told"] = is_ended == (frame["finish_reason"] != "length")

    start, end = frame["forced_start"].to_numpy(), frame["forced_end"].to_numpy()
    num_forced, num_cue = frame["forced_end"] - frame["forced_start"], len(premises.cue_tokens)
    due = frame["finish_reason"].map({"stop": 0, "forced": num_cue})
    frame["forced_excess_tokens"] = num_forced - due.fillna(num_forced.gt(0) * num_cue)
    frame["forced_overhang_tokens"] = frame["forced_end"] - num_tokens
    frame["forced_gap_tokens"] = (frame["forced_start"] - frame["num_thinking_tokens"]).where(num_forced > 0)
    cue = np.asarray(premises.cue_tokens)
    offset = tokens.positions - start[tokens.owners]
    is_foreign = tokens.values != cue[np.clip(offset, 0, num_cue - 1)]
    frame["num_foreign_forced_tokens"] = tokens.count(tokens.within(start, end) & is_foreign)
    frame["num_sampled_forced_tokens"] = logprobs.count(logprobs.within(start, end) & (logprobs.values != 0))


def _add_problem(frame: pd.DataFrame, rollouts: pa.Table, problems: pa.Table, premises: Premises) -> None:
    """Columns about a rollout's problem: its split, its difficulty, its prompt."""
    known = problems.select(["problem_id", "split", "difficulty", "prompt"]).to_pandas()
    known = known[known["problem_id"].isin(frame["problem_id"])].set_index("problem_id")
    frame["problem_split"] = frame["problem_id"].map(known["split"]).fillna(UNKNOWN)
    frame["difficulty"] = frame["problem_id"].map(known["difficulty"])
    prompts = {
        problem_id: np.asarray(premises.renderer.encode(prompt), dtype=np.int64).tobytes()
        for problem_id, prompt in known["prompt"].items()
    }
    shown = _ragged(rollouts["prompt_tokens"])
    ends = shown.lengths.cumsum()
    spans = zip(frame["problem_id"], ends - shown.lengths, ends, strict=True)
    values = shown.values.astype(np.int64)
    frame["is_prompt_of_problem"] = [
        problem_id not in prompts or prompts[problem_id] == values[start:end].tobytes()
        for problem_id, start, end in spans
    ]


def _add_coverage(frame: pd.DataFrame, scores: pa.Table, segments: pa.Table, probes: pa.Table) -> None:
    """Columns about what the later tables hold of a rollout."""
    frame["is_scored"] = frame["rollout_id"].isin(_ids(scores))
    cut = segments.select(["rollout_id", "kind"]).to_pandas()
    is_answer = cut["kind"] == "answer"
    num_thinking = frame["rollout_id"].map(cut["rollout_id"][~is_answer].value_counts()).fillna(0)
    num_answers = frame["rollout_id"].map(cut["rollout_id"][is_answer].value_counts()).fillna(0)
    num_boundaries = frame["rollout_id"].map(pd.Series(_ids(probes)).value_counts()).fillna(0)
    frame["num_segments"] = num_thinking + num_answers
    frame["num_missing_answer_segments"] = (frame["num_answer_tokens"] > 0).astype(int) - num_answers
    frame["num_missing_boundaries"] = num_thinking + 1 - num_boundaries


def _add_probe_residuals(frame: pd.DataFrame, gains: pa.Table, probes: pa.Table) -> None:
    """Columns holding counts, successes, information gain and standard error against the probes of both boundaries."""
    boundaries = _scalars(probes).assign(log_success=_log_set_success(probes))
    boundaries = boundaries.set_index(["rollout_id", "boundary_index"])[["num_probes", "log_success"]]
    is_set, variance, log_success = _is_set(frame), {}, {}
    for side, shift in (("before", 0), ("after", 1)):
        place = frame[SEGMENT].assign(segment_index=frame["segment_index"] + shift)
        probed = boundaries.reindex(pd.MultiIndex.from_frame(place)).reset_index(drop=True)
        log_success[side] = probed["log_success"]
        success, num_judged = frame[f"success_{side}"], frame[f"num_judged_{side}"]
        num_unjudged = probed["num_probes"] - num_judged
        frame[f"is_judged_{side}"] = (num_judged >= 0) & (num_unjudged >= 0) & ((num_unjudged == 0) | ~is_set)
        share = (success * num_judged).round().fillna(0) / num_judged
        due = np.exp(probed["log_success"]).clip(upper=1.0).where(is_set, share)
        frame[f"success_{side}_residual"] = _residual(success, gains[f"success_{side}"], due)
        variance[side] = (success * (1 - success) / num_judged).mask(is_set, 0.0)
    info_gain = log_success["after"] - log_success["before"]
    frame["info_gain_nats_residual"] = _residual(frame["info_gain_nats"], gains["info_gain_nats"], info_gain)
    stderr = np.sqrt(variance["before"] + variance["after"])
    frame["stderr_residual"] = _residual(frame["stderr"], gains["stderr"], stderr)


def _boundary_positions(frame: pd.DataFrame, segments: pa.Table) -> pd.Series:
    """Where each boundary must stand: 0, then the end of each thinking segment; NaN where there is no such segment."""
    cut = segments.select([*SEGMENT, "kind", "end_token"]).to_pandas()
    ends = cut[cut["kind"] != "answer"].set_index(SEGMENT)["end_token"]
    closed = frame[["rollout_id"]].assign(segment_index=frame["boundary_index"] - 1)
    positions = ends.reindex(pd.MultiIndex.from_frame(closed)).reset_index(drop=True)
    return positions.where(frame["boundary_index"] > 0, 0)


def _is_set(frame: pd.DataFrame) -> pd.Series:
    return frame["estimator"] == "set_likelihood"


def _log_set_success(probes: pa.Table) -> pd.Series:
    """Logarithm of the summed probabilities of each boundary's answers; NaN where they were sampled."""
    logprobs = _ragged(probes["answer_logprobs"])
    highest = logprobs.reduce("max")  # taken out of the sum, so that no exponent underflows
    above = replace(logprobs, values=np.exp(logprobs.values - highest.to_numpy()[logprobs.owners]))
    return (highest + np.log(above.reduce("sum"))).where(_is_set(_scalars(probes)))


def _answers(rollouts: pa.Table, premises: Premises) -> list[str]:
    """The text after each rollout's cue, empty where it never answered."""
    starts = pc.add(rollouts["num_thinking_tokens"], len(premises.cue_tokens)).to_numpy()
    tokens = _ragged(rollouts["completion_tokens"])
    values = np.clip(tokens.values, 0, premises.renderer.vocabulary_size - 1)
    ends = tokens.lengths.cumsum()
    begins = np.minimum(ends - tokens.lengths + np.maximum(starts, 0), ends)
    return [premises.renderer.decode(values[a:b].tolist()) for a, b in zip(begins, ends, strict=True)]


def _num_repeats(answers: pa.ChunkedArray) -> pd.Series:
    """How many entries of each list have stood in it before."""
    lengths = _lengths(answers)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    is_repeat = pd.DataFrame({"owner": owners, "answer": pc.list_flatten(answers).to_pandas()}).duplicated()
    return pd.Series(np.bincount(owners[is_repeat], minlength=len(lengths)))


def _residual(found: pd.Series, stored: pa.ChunkedArray, due: pd.Series) -> pd.Series:
    """Distance of a nullable column from what it must be. `due` is NaN where null belongs; infinite on a mismatch."""
    is_null = stored.is_null().to_numpy()
    distance = (found.astype(float) - due).abs().fillna(np.inf)
    return distance.mask(is_null & due.isna(), 0.0)


@dataclass(frozen=True)
class _Ragged:
    """A list column: each row's length, and for every entry its value, its row and its place in the row."""

    lengths: np.ndarray
    values: np.ndarray
    owners: np.ndarray
    positions: np.ndarray

    def reduce(self, how: str) -> pd.Series:
        """`max`, `min` or `sum` of each row's values; NaN where it has none."""
        return pd.Series(self.values).groupby(self.owners).agg(how).reindex(range(len(self.lengths)))

    def count(self, is_counted: np.ndarray) -> np.ndarray:
        """How many of each row's entries are marked."""
        return np.bincount(self.owners[is_counted], minlength=len(self.lengths))

    def within(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Mark the entries of each row's [start, end)."""
        is_within: np.ndarray = (self.positions >= start[self.owners]) & (self.positions < end[self.owners])
        return is_within


def _ragged(column: pa.ChunkedArray) -> _Ragged:
    lengths = _lengths(column)
    flat = pc.list_flatten(column)
    if pa.types.is_integer(flat.type):
        flat = pc.fill_null(flat, -1)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    positions = np.arange(len(owners)) - np.repeat(lengths.cumsum() - lengths, lengths)
    values = flat.to_numpy()
    return _Ragged(lengths, values.astype(np.float64) if values.dtype.kind == "f" else values, owners, positions)


def _lengths(column: pa.ChunkedArray) -> np.ndarray:
    lengths: np.ndarray = pc.list_value_length(column).to_numpy().astype(np.int64)
    return lengths


def _ids(table: pa.Table) -> pd.Series:
    return table["rollout_id"].to_pandas()


def _scalars(table: pa.Table) -> pd.DataFrame:
    """The table's columns that hold one value a row, floats in double precision."""
    frame = table.select([field.name for field in table.schema if not pa.types.is_list(field.type)]).to_pandas()
    return frame.astype(dict.fromkeys(frame.select_dtypes("float32"), "float64"))

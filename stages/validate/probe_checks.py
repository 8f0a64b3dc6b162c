"""Check frames of probes and gains: what an estimator must have left, computed anew."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from stages.contracts.params.recipes.probe import Probe
from stages.validate.frames import (
    BOUNDARY,
    SEGMENT,
    UNKNOWN,
    ids,
    lengths_of,
    ragged,
    residual,
    scalars,
)

_SIDES = (("before", 0), ("after", 1))


def probes_frame(
    probes: pa.Table, rollouts: pa.Table, segments: pa.Table, probe: Probe
) -> pd.DataFrame:
    """One row per boundary probed: its position, its answers, the success they amount to."""
    frame = scalars(probes)
    frame["is_of_known_rollout"] = frame["rollout_id"].isin(ids(rollouts))
    position = frame.groupby("rollout_id").cumcount()
    is_due = (position == 0) | (not probe.is_thinned)
    frame["index_gap"] = (frame["boundary_index"] - position).where(is_due)
    frame["position_gap_tokens"] = (
        frame["position"] - _boundary_positions(frame, segments)
    ).fillna(np.inf)

    logprobs, num_answers = ragged(probes["answer_logprobs"]), _num_present(probes["answers"])
    frame["num_missing_answers"] = frame["num_probes"] - num_answers
    frame["num_missing_answer_logprobs"] = num_answers - logprobs.lengths
    frame["num_nonfinite_answer_logprobs"] = logprobs.count(~np.isfinite(logprobs.values))
    frame["max_answer_logprob"] = logprobs.reduce("max")

    log_success = _log_success(probes, probe)
    is_known = probe.success_from == "known_answers"
    frame["num_repeated_answers"] = _num_repeats(probes["answers"]) if is_known else np.nan
    frame["set_success"] = np.exp(log_success)
    frame["gold_logprob_residual"] = residual(
        frame["gold_logprob_nats"], probes["gold_logprob_nats"], log_success
    )
    frame["is_value_due"] = frame["value"].notna() == (probe.success_from == "value")
    return frame


def gains_frame(
    gains: pa.Table, segments: pa.Table, probes: pa.Table, probe: Probe, partial_credit: bool
) -> pd.DataFrame:
    """One row per gain: its segment, and the residuals against the probes and its neighbours.

    Success sampled is a whole number of correct answers among those judged, and its error that of
    so many right; with partial credit it is any mean of rewards, and its error at most that.
    """
    frame = scalars(gains)
    kinds = segments.select([*SEGMENT, "kind"]).to_pandas().set_index(SEGMENT)["kind"]
    frame["segment_kind"] = (
        kinds.reindex(pd.MultiIndex.from_frame(frame[SEGMENT])).fillna(UNKNOWN).to_numpy()
    )
    _add_probe_residuals(
        frame, gains, _boundary_grid(frame, probes, probe, partial_credit), probe, partial_credit
    )

    by_rollout = frame.groupby("rollout_id")
    is_first, is_last = by_rollout.cumcount() == 0, by_rollout.cumcount(ascending=False) == 0
    before, after = frame["success_before"], frame["success_after"]
    previous = by_rollout[["success_after", "num_judged_after"]].shift()
    is_same_success = (before == previous["success_after"]) | (
        before.isna() & previous["success_after"].isna()
    )
    is_same_count = frame["num_judged_before"] == previous["num_judged_after"]
    frame["is_unbroken"] = (is_same_success & is_same_count) | is_first
    frame["progress_residual"] = residual(frame["progress"], gains["progress"], after - before)
    start = before.where(is_first).groupby(frame["rollout_id"]).ffill()
    total = by_rollout["progress"].cumsum(skipna=False)
    frame["telescoping_residual"] = (total - (after - start)).abs().where(is_last)
    return frame


def _add_probe_residuals(
    frame: pd.DataFrame, gains: pa.Table, grid: pd.DataFrame, probe: Probe, partial_credit: bool
) -> None:
    """Columns holding what was gained against the probes around a segment."""
    at = {
        side: _at(grid, frame["rollout_id"], frame["segment_index"] + shift)
        for side, shift in _SIDES
    }
    is_sampled = probe.success_from == "sampled_answers"
    for side, boundary in at.items():
        num_judged = frame[f"num_judged_{side}"]
        num_unjudged = boundary["num_probes"] - num_judged
        frame[f"is_judged_{side}"] = (
            (num_judged >= 0) & (num_unjudged >= 0) & ((num_unjudged == 0) | is_sampled)
        )
        due = boundary["success_due"]
        frame[f"success_{side}_residual"] = residual(
            frame[f"success_{side}"], gains[f"success_{side}"], due
        )
    before, after = at["before"], at["after"]
    frame["is_carrying_told"] = frame["is_carried"] == ~(before["is_probed"] & after["is_probed"])
    stderr = np.sqrt(before["variance"] + after["variance"]) * after["is_probed"]
    stderr = stderr.clip(upper=frame["stderr"]) if partial_credit else stderr
    frame["stderr_residual"] = residual(frame["stderr"], gains["stderr"], stderr)
    info_gain = after["information"] - before["information"]
    if probe.is_gated:
        info_gain = info_gain * frame["success_after"]
    frame["info_gain_nats_residual"] = residual(
        frame["info_gain_nats"], gains["info_gain_nats"], info_gain
    )


def _boundary_grid(
    frame: pd.DataFrame, probes: pa.Table, probe: Probe, partial_credit: bool
) -> pd.DataFrame:
    """Every boundary that gains speak of, with what its probes make of it.

    `success_due` is what success must be there, `variance` that of its estimate, `information` what
    grows by a segment's information gain: at a boundary not probed those of the last one probed.
    """
    sides = [
        frame[["rollout_id", "segment_index", f"success_{side}", f"num_judged_{side}"]]
        .set_axis([*BOUNDARY, "success", "num_judged"], axis=1)
        .assign(boundary_index=lambda rows, shift=shift: rows["boundary_index"] + shift)
        for side, shift in _SIDES
    ]
    grid = pd.concat(sides).drop_duplicates(BOUNDARY).sort_values(BOUNDARY).reset_index(drop=True)
    probed = scalars(probes)[[*BOUNDARY, "num_probes", "value"]]
    probed["log_success"], probed["entropy"] = (
        _log_success(probes, probe),
        _entropy(probes["answers"]),
    )
    grid = grid.merge(probed.assign(is_probed=True), on=BOUNDARY, how="left")
    is_probed = grid["is_probed"] = grid["is_probed"].notna()
    grid["num_probes"] = grid["num_probes"].fillna(0)
    num_judged = grid["num_judged"].where(grid["num_judged"] > 0)
    total = (grid["success"] * num_judged).fillna(0)
    num_right = total.clip(0, num_judged) if partial_credit else total.round()
    grid["variance"] = (num_right + 1) * (num_judged - num_right + 1)
    grid["variance"] /= num_judged * (num_judged + 1) * (num_judged + 2)
    grid["information"] = -grid["entropy"] if probe.nats_from == "entropy" else grid["log_success"]
    match probe.success_from:
        case "sampled_answers":
            grid["success_due"] = num_right / num_judged
        case "known_answers":
            grid["success_due"] = np.exp(grid["log_success"]).clip(upper=1.0)
        case "value":
            grid["success_due"] = grid["value"]
    if probe.success_from != "sampled_answers":
        grid["variance"] = grid["success_due"] * 0.0
    grid["place"] = grid["boundary_index"].where(is_probed).groupby(grid["rollout_id"]).ffill()
    last_probed = _at(grid, grid["rollout_id"], grid["place"])
    for name in ("success_due", "variance", "information"):
        grid[name] = last_probed[name]
    return grid


def _at(grid: pd.DataFrame, rollout_id: pd.Series, boundary_index: pd.Series) -> pd.DataFrame:
    """The grid's rows at these boundaries; missing values where there is none."""
    places = pd.MultiIndex.from_arrays([rollout_id, boundary_index], names=BOUNDARY)
    return grid.set_index(BOUNDARY).reindex(places).reset_index(drop=True)


def _boundary_positions(frame: pd.DataFrame, segments: pa.Table) -> pd.Series:
    """Where each boundary must stand: 0, then the end of each thinking segment.

    NaN where there is no such segment.
    """
    cut = segments.select([*SEGMENT, "kind", "end_token"]).to_pandas()
    ends = cut[cut["kind"] != "answer"].set_index(SEGMENT)["end_token"]
    closed = frame[["rollout_id"]].assign(segment_index=frame["boundary_index"] - 1)
    positions = ends.reindex(pd.MultiIndex.from_frame(closed)).reset_index(drop=True)
    return positions.where(frame["boundary_index"] > 0, 0)


def _log_success(probes: pa.Table, probe: Probe) -> pd.Series:
    """Logarithm of the summed probabilities of each boundary's known answers; else NaN."""
    logprobs = ragged(probes["answer_logprobs"])
    if probe.success_from != "known_answers":
        return pd.Series(np.nan, range(len(logprobs.lengths)))
    highest = logprobs.reduce("max")  # taken out of the sum, so that no exponent underflows
    above = replace(logprobs, values=np.exp(logprobs.values - highest.to_numpy()[logprobs.owners]))
    return highest + np.log(above.reduce("sum"))


def _entropy(answers: pa.ChunkedArray) -> pd.Series:
    """Miller-Madow entropy of each list's distinct texts, in nats, white space put aside.

    NaN where it is empty.
    """
    lengths = lengths_of(answers)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    texts = pc.list_flatten(answers).to_pandas().astype(str).str.split().str.join(" ")
    counts = (
        pd.DataFrame({"owner": owners, "text": texts}).value_counts().rename("count").reset_index()
    )
    total = counts["owner"].map(pd.Series(lengths))
    terms = -counts["count"] / total * np.log(counts["count"] / total)
    by_boundary = terms.groupby(counts["owner"])
    return (by_boundary.sum() + (by_boundary.size() - 1) / (2 * pd.Series(lengths))).reindex(
        range(len(lengths))
    )


def _num_present(answers: pa.ChunkedArray) -> Int[np.ndarray, " row"]:
    """How many entries of each list are texts, and not null."""
    owners = np.repeat(np.arange(len(answers)), lengths_of(answers))
    is_text = pc.list_flatten(answers).is_valid().to_numpy()
    return np.bincount(owners[is_text], minlength=len(answers))


def _num_repeats(answers: pa.ChunkedArray) -> pd.Series:
    """How many entries of each list have stood in it before."""
    lengths = lengths_of(answers)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    is_repeat = pd.DataFrame(
        {"owner": owners, "answer": pc.list_flatten(answers).to_pandas()}
    ).duplicated()
    return pd.Series(np.bincount(owners[is_repeat], minlength=len(lengths)))

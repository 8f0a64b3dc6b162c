"""What must hold of a completion's tokens and their origins: columns of check frames."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Int

from stages.contracts.origin import Origin
from stages.contracts.render import Renderer
from stages.contracts.token_text import span_texts
from stages.validate.frames import Ragged, ids, lengths_of, looked_up, ragged

MISSING = -1


def add_tokens(frame: pd.DataFrame, rollouts: pa.Table, renderer: Renderer) -> None:
    """Columns about a completion's tokens: vocabulary, log-probabilities, end of text, origins."""
    tokens, logprobs = ragged(rollouts["completion_tokens"]), ragged(rollouts["sampler_logprobs"])
    origin = _origins(rollouts, tokens)
    num_tokens = pd.Series(tokens.lengths)
    num_thinking = frame["num_thinking_tokens"].to_numpy()
    frame["num_tokens"] = num_tokens
    frame["num_answer_tokens"] = num_tokens - num_thinking
    frame["min_token"] = tokens.reduce("min")
    frame["max_token"] = tokens.reduce("max")
    frame["num_missing_logprobs"] = num_tokens - logprobs.lengths
    frame["num_nonfinite_logprobs"] = logprobs.count(~np.isfinite(logprobs.values))
    frame["min_logprob"] = logprobs.reduce("min")
    frame["max_logprob"] = logprobs.reduce("max")

    is_sampled, is_reply = origin == Origin.SAMPLED, origin == Origin.ENVIRONMENT
    is_thought = tokens.positions < num_thinking[tokens.owners]
    frame["num_missing_origins"] = num_tokens - lengths_of(rollouts["token_origin"])
    frame["num_unknown_origins"] = tokens.count(~np.isin(origin, [*Origin]))
    frame["num_sampled_thinking_tokens"] = tokens.count(is_sampled & is_thought)
    frame["num_late_environment_tokens"] = tokens.count(is_reply & ~is_thought)
    logprob = logprobs.at(tokens.owners, tokens.positions, 0.0)
    frame["num_logprobs_not_sampled"] = tokens.count(~is_sampled & (logprob != 0))

    is_eos = np.isin(tokens.values, renderer.stop_tokens) & is_sampled
    is_last = tokens.positions == tokens.lengths[tokens.owners] - 1
    is_turn_over = ~is_last & np.append(is_reply[1:], False)
    frame["num_early_eos"] = tokens.count(is_eos & ~is_last & ~is_turn_over)
    is_ended = tokens.count(is_eos & is_last) == 1
    frame["is_end_as_told"] = is_ended == (frame["finish_reason"] != "length")


def add_cues(frame: pd.DataFrame, rollouts: pa.Table, cue_tokens: Sequence[int]) -> None:
    """Columns about the runs of cue tokens, and about the cue that ends thinking."""
    tokens = ragged(rollouts["completion_tokens"])
    origin = _origins(rollouts, tokens)
    in_origin = Ragged(tokens.lengths, origin, tokens.owners, tokens.positions)
    frame["num_foreign_cue_tokens"] = tokens.count(_is_foreign(tokens, origin, cue_tokens))

    rows, num_thinking = np.arange(len(frame)), frame["num_thinking_tokens"].to_numpy()
    is_answered = tokens.lengths > num_thinking
    num_missing = np.zeros(len(frame), dtype=int)
    for offset, token in enumerate(cue_tokens):
        place = num_thinking + offset
        is_there = tokens.at(rows, place, MISSING) == token
        if offset:
            is_there &= in_origin.at(rows, place, MISSING) == Origin.CUE
        num_missing += is_answered & ~is_there
    frame["num_missing_cue_tokens"] = num_missing

    begun_by = in_origin.at(rows, num_thinking, MISSING)
    finish = frame["finish_reason"]
    is_wrong = (finish == "forced") & (begun_by != Origin.CUE)
    is_wrong |= (finish == "stop") & is_answered & (begun_by != Origin.SAMPLED)
    frame["is_cue_as_told"] = ~is_wrong


def answer_texts(rollouts: pa.Table, renderer: Renderer) -> pd.Series:
    """The text behind each rollout's cue, by rollout_id; empty where it never answered."""
    tokens = ragged(rollouts["completion_tokens"])
    origin = _origins(rollouts, tokens)
    last_cue = np.full(len(tokens.lengths), MISSING)
    is_cue = origin == Origin.CUE
    np.maximum.at(last_cue, tokens.owners[is_cue], tokens.positions[is_cue])
    start = np.maximum(rollouts["num_thinking_tokens"].to_numpy(), last_cue) + 1
    is_answer = (origin == Origin.SAMPLED) & (tokens.positions >= start[tokens.owners])
    values = np.clip(tokens.values[is_answer], 0, renderer.vocabulary_size - 1)
    ends = tokens.count(is_answer).cumsum()
    starts = np.append(0, ends[:-1])
    texts = [renderer.decode(values[a:b].tolist()) for a, b in zip(starts, ends, strict=True)]
    return pd.Series(texts, index=ids(rollouts), dtype=object)


def add_texts(frame: pd.DataFrame, rollouts: pa.Table, renderer: Renderer) -> None:
    """Columns about the texts beside a rollout's tokens: whether they are what those read."""
    for part in ("prompt", "completion"):
        texts = [renderer.text(tokens) for tokens in _token_lists(rollouts, part, renderer)]
        frame[f"is_{part}_text_of_tokens"] = frame[f"{part}_text"] == texts


def add_segment_texts(frame: pd.DataFrame, rollouts: pa.Table, renderer: Renderer) -> None:
    """Whether the text of each segment is what its tokens add to their rollout's."""
    tokens = dict(zip(ids(rollouts), _token_lists(rollouts, "completion", renderer), strict=True))
    due: list[str | None] = []
    for rollout_id, ends in frame.groupby("rollout_id", sort=False)["end_token"]:
        within = np.maximum.accumulate(ends.clip(0, len(tokens.get(rollout_id, ()))))
        due += span_texts(tokens.get(rollout_id, ()), within.tolist(), renderer.text)
    is_known = frame["rollout_id"].isin(tokens.keys())
    frame["is_text_of_tokens"] = (frame["text"] == pd.Series(due, dtype=object)) | ~is_known


def add_sampled(frame: pd.DataFrame, rollouts: pa.Table) -> None:
    """Columns about segments: how many of their tokens were sampled, and whether the first was."""
    tokens = ragged(rollouts["completion_tokens"])
    is_sampled = _origins(rollouts, tokens) == Origin.SAMPLED
    before = np.append(0, is_sampled.cumsum())
    firsts = pd.Series(tokens.lengths.cumsum() - tokens.lengths, index=ids(rollouts))
    first = looked_up(frame["rollout_id"], firsts)
    length = looked_up(frame["rollout_id"], pd.Series(tokens.lengths, index=ids(rollouts)))
    start, end = (
        (first + frame[name].clip(0, length)).fillna(0).astype(int).to_numpy()
        for name in ("start_token", "end_token")
    )
    frame["num_sampled_tokens"] = (before[end] - before[start]).astype(float)
    at_start = np.append(is_sampled, True)[start]
    frame["is_start_sampled"] = at_start | (frame["start_token"] == 0) | first.isna()


def _token_lists(rollouts: pa.Table, part: str, renderer: Renderer) -> list[list[int]]:
    """The tokens of each prompt or completion, those of no vocabulary moved to its bounds."""
    tokens = ragged(rollouts[f"{part}_tokens"])
    values = np.clip(tokens.values, 0, renderer.vocabulary_size - 1)
    ends = tokens.lengths.cumsum()
    return [one.tolist() for one in np.split(values, ends[:-1])] if len(ends) else []


def _origins(rollouts: pa.Table, tokens: Ragged) -> Int[np.ndarray, " entry"]:
    """The origin of each completion token."""
    return ragged(rollouts["token_origin"]).at(tokens.owners, tokens.positions, MISSING)


def _is_foreign(
    tokens: Ragged, origin: Int[np.ndarray, " entry"], cue_tokens: Sequence[int]
) -> Bool[np.ndarray, " entry"]:
    """Which cue tokens stand in a run that is not the cue.

    Nor what follows the cue's first token, where the policy wrote that itself.
    """
    cue, is_cue = np.asarray(cue_tokens), origin == Origin.CUE
    is_behind = np.append(False, is_cue[:-1]) & (tokens.positions > 0)
    begins = np.flatnonzero(is_cue & ~is_behind)
    if not len(begins):
        return is_cue
    places = np.flatnonzero(is_cue)
    run = np.searchsorted(begins, places, side="right") - 1
    lengths = np.bincount(run)
    is_own = (
        (tokens.positions[begins] > 0)
        & (tokens.values[begins - 1] == cue[0])
        & (origin[begins - 1] == Origin.SAMPLED)
        & (lengths == len(cue) - 1)
    )
    offset = places - begins[run] + is_own[run]
    is_alike = tokens.values[places] == cue[np.minimum(offset, len(cue) - 1)]
    is_whole = (lengths + is_own == len(cue)) & (np.bincount(run, ~is_alike) == 0)
    is_foreign = np.zeros(len(origin), dtype=bool)
    is_foreign[places] = ~is_whole[run]
    return is_foreign

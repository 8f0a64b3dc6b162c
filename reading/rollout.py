"""One rollout in full: its segments and what each gained, success at each boundary, its tokens."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reading.database import Database
from reading.errors import NotThere
from reading.sources import Source, quoted, simple
from reading.tokens import Decoder
from reading.views import Plan, View

Row = Mapping[str, Any]
SAMPLED = 0
"""What `token_origin` has for a token that the policy sampled."""


class Token(NamedTuple):
    """A token: what it adds to the text, and its log-probability in nats where it was sampled."""

    text: str
    logprob: float | None


class Segment(NamedTuple):
    """A segment: its columns of `segments` and `gains`, its text, and its tokens.

    There are no tokens where one does not read alone; `advantages` are those its tokens learn by.
    """

    row: Row
    text: str | None
    tokens: list[Token]
    advantages: Sequence[Row]

    @property
    def progress(self) -> float | None:
        """What it gained; None where nothing was measured."""
        return self.row.get("progress")

    @property
    def is_fooled(self) -> bool:
        """Whether the policy's verdict on its attempt and the verifier's differ."""
        own, verdict = self.row["self_verdict"], self.row["attempt_verdict"]
        return None not in (own, verdict) and own != (verdict == "correct")


class Boundary(NamedTuple):
    """Where the policy was made to answer: success J there, and the answers tried, likeliest first.

    Log-probabilities are in nats.
    """

    number: int
    success: float | None
    answers: list[tuple[str, float]]


class Rollout(NamedTuple):
    """One rollout: its columns of every table that has one row for it, segments and boundaries."""

    rollout_id: str
    row: Row
    text: str | None
    segments: list[Segment]
    boundaries: list[Boundary]

    @property
    def gains(self) -> list[float]:
        """What its segments gained, where that is known."""
        return [each.progress for each in self.segments if each.progress is not None]

    @property
    def successes(self) -> tuple[float | None, ...]:
        """Success J at each boundary."""
        return tuple(each.success for each in self.boundaries)


def read_rollout(database: Database, rollout_id: str) -> Rollout:
    """The rollout of this id; before a step has run, what it would add is left out.

    Raises:
        NotThere: there is none.
    """
    source = database.source(f"rounds/{rollout_id.partition('/')[0]}")
    plan = Plan(View(source.name, unit="rollouts"), source)
    found = database.ask(plan.one_sql(), {"rollout_id": rollout_id}).records
    if not found:
        raise NotThere(f"{source.name} has no rollout {rollout_id}; `knowhow read` lists them")
    row = found[0]
    rows: dict[int, dict[str, Any]] = {}
    for table in ("segments", "gains"):
        for each in _rows(database, source, table, rollout_id):
            rows.setdefault(each["segment_index"], {}).update(each)
    advantages = _rows(database, source, "advantages", rollout_id)
    tokens = _tokens(database.decoder, row)
    segments = []
    for index, own in sorted(rows.items()):
        span = slice(own["start_token"], own["end_token"])
        text = own.get("text")
        if text is None:  # a table from before there was the column
            text = database.decoder.text(row["policy_id"], row["completion_tokens"][span])
        learnt_by = [each for each in advantages if each["segment_index"] == index]
        segments.append(Segment(own, text, tokens[span], learnt_by))
    probes = _rows(database, source, "probes", rollout_id)
    found_boundaries = boundaries(segments, probes)
    return Rollout(rollout_id, row, row["completion_text"], segments, found_boundaries)


def boundaries(segments: Sequence[Segment], probes: Sequence[Row]) -> list[Boundary]:
    """Success before each thinking segment and after the last, with what was tried there."""
    gained = [each.row for each in segments if "success_before" in each.row]
    successes = [row["success_before"] for row in gained]
    successes += [gained[-1]["success_after"]] if gained else []
    tried = {row["boundary_index"]: row for row in probes}
    return [
        Boundary(index, success, _answers(tried.get(index)))
        for index, success in enumerate(successes)
    ]


def _answers(probe: Row | None) -> list[tuple[str, float]]:
    if probe is None:
        return []
    pairs = zip(probe["answers"], probe["answer_logprobs"], strict=True)
    return sorted(pairs, key=lambda pair: -pair[1])


def _tokens(decoder: Decoder, row: Row) -> list[Token]:
    """The completion's tokens; none where one does not read alone."""
    words = decoder.words(row["policy_id"], row["completion_tokens"]) or []
    given = zip(words, row["sampler_logprobs"], row["token_origin"], strict=bool(words))
    return [Token(word, lp if origin == SAMPLED else None) for word, lp, origin in given]


def _rows(database: Database, source: Source, table: str, rollout_id: str) -> list[dict[str, Any]]:
    """The rows of a table that are of the rollout; none before a step has written it."""
    if table not in source.tables:
        return []
    order = ", ".join(map(simple, source.tables[table].key))
    place = f"{quoted(source.name)}.{simple(table)}"
    sql = f"SELECT * FROM {place} WHERE rollout_id = $id ORDER BY {order}"
    return database.ask(sql, {"id": rollout_id}).records

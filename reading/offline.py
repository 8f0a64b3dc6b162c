"""A page that opens without a server: a sample of rollouts, and how it was drawn."""

from pathlib import Path
from typing import NamedTuple

from reading.database import Database
from reading.errors import NotThere
from reading.page import fill
from reading.rollout import Rollout, read_rollout
from reading.sources import quoted
from reading.telling import TELLING
from reading.views import MAX_LIMIT, Plan

UNIFORM = "Drawn at random"


class Part(NamedTuple):
    """Rollouts of a round that are shown for one reason."""

    title: str
    meaning: str
    rollouts: list[Rollout]


class RoundSample(NamedTuple):
    """What is shown of a round, and of how many rollouts."""

    name: str
    num_rollouts: int
    parts: list[Part]


def write(database: Database, file: Path, num_rollouts: int) -> str:
    """Write the page; what is on it, in words.

    Raises:
        NotThere: there is no round, or the file cannot be written.
    """
    rounds = [name for name in database.sources if name.startswith("rounds/")]
    if not rounds:
        raise NotThere("there is no round to show; `knowhow train` makes them")
    samples = [sample(database, name, max(2, num_rollouts // len(rounds))) for name in rounds]
    shown = sum(len(part.rollouts) for each in samples for part in each.parts)
    there = sum(each.num_rollouts for each in samples)
    words = f"{shown:,} of {there:,} rollouts of {len(rounds):,} rounds"
    try:
        file.write_text(fill("offline.html.j2", samples=samples, words=words), encoding="utf-8")
    except OSError as error:
        raise NotThere(f"{file} cannot be written: {error.strerror}") from None
    return words


def sample(database: Database, name: str, num_rollouts: int) -> RoundSample:
    """Half of a round's rollouts in equal parts by what tells most, the rest at random."""
    source, tellings = database.source(name), TELLING["rounds"]
    seen: set[str] = set()
    parts = []
    for telling in tellings if {"segments", "gains"} <= source.tables.keys() else ():
        view = telling.view(name, min(MAX_LIMIT, num_rollouts))
        rows = database.ask(Plan(view, source).sql(), view.parameters).records
        ids = dict.fromkeys(row["rollout_id"] for row in rows if row["rollout_id"] not in seen)
        chosen = [*ids][: num_rollouts // 2 // len(tellings)]
        seen |= {*chosen}
        parts.append(_part(database, telling.title, telling.meaning, chosen))
    place = f"{quoted(name)}.{source.need('rollouts').name}"
    count = database.ask(f"SELECT count(*) FROM {place}").rows[0][0]
    sql = f"SELECT rollout_id FROM {place} ORDER BY md5(rollout_id) LIMIT {2 * num_rollouts}"
    others = [rollout_id for (rollout_id,) in database.ask(sql).rows if rollout_id not in seen]
    chosen = sorted(others[: num_rollouts - len(seen)])
    meaning = "those whose names have the smallest md5 digests, without those above"
    return RoundSample(name, count, [*parts, _part(database, UNIFORM, meaning, chosen)])


def _part(database: Database, title: str, meaning: str, rollout_ids: list[str]) -> Part:
    return Part(title, meaning, [read_rollout(database, each) for each in rollout_ids])

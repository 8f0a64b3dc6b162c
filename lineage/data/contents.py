"""What two policies differ by in their tables: problems, demonstrations, rollouts and rewards.

A row is known by its content, not by its id: two rounds that sampled the same completion of the
same problem share a row. Rows stream through, eight bytes of each are kept.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineage.data.tables import batches
from lineage.record.ancestry import Generation
from lineage.record.audit import Audit
from lineage.record.errors import AuditError
from lineage.record.flags import Flag
from lineage.record.lock import File, Step
from lineage.record.store import Store

ROW_BYTES = 8
NONE = np.empty(0, np.uint64)
SEPARATOR = pa.scalar("\x1f")  # a plain string would import pandas: half a second more
CONTENT = {
    Flag.PROBLEMS: ("problem_id", "split", "difficulty", "prompt", "answer", "metadata"),
    Flag.DEMOS: ("problem_id", "text"),
    Flag.ROLLOUTS: ("problem_id", "completion_tokens"),
}
"""Tables by the flag that names them, and the columns that are a row's content."""


@dataclass(frozen=True)
class Counts:
    """Rows of all tables of a kind, and the problems they are of."""

    rows: int
    problems: int


@dataclass(frozen=True)
class TableDifference:
    """What the tables of a kind of two policies have in common."""

    table: str
    before: Counts
    after: Counts
    rows_only_before: int
    rows_only_after: int
    shared_problems: int
    unknown: None = None


@dataclass(frozen=True)
class UnknownTable:
    """Tables of a kind that are not here, and why."""

    table: str
    unknown: str


@dataclass(frozen=True)
class Rewards:
    """How the rollouts of a round were rewarded."""

    round: str
    md5: str
    rows: int
    mean_reward: float | None
    verdicts: Mapping[str, int]
    unknown: None = None


@dataclass(frozen=True)
class UnknownRewards:
    """Rewards that are not here, and why."""

    round: str
    md5: str
    unknown: str


@dataclass(frozen=True)
class RoundPair:
    """A round of either chain; None where one chain is shorter."""

    before: Rewards | UnknownRewards | None
    after: Rewards | UnknownRewards | None

    @property
    def is_shared(self) -> bool:
        """Whether both sides had the very same round."""
        return bool(self.before and self.after and self.before.md5 == self.after.md5)


@dataclass(frozen=True)
class Content:
    """Eight bytes of each row of a table, and of each problem once."""

    rows: np.ndarray
    problems: np.ndarray


@dataclass
class Memory:
    """What was read, by the md5 of the table and the kind it was read as."""

    contents: dict[tuple[str, Flag], Content] = field(default_factory=dict)
    rewards: dict[str, tuple[float | None, Mapping[str, int]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """The tables of one policy's ancestors; the same bytes are read once."""

    store: Store
    steps: Sequence[Step]
    memory: Memory

    @classmethod
    def of(cls, audit: Audit, policy: str, memory: Memory) -> "Reader":
        """All that came before a policy. Readers of one memory share what they read."""
        return cls(audit.store, audit.graph.ancestors(audit.graph.policy(policy)), memory)

    def content(self, flag: Flag) -> Content:
        """All tables of a kind.

        Raises:
            AuditError: one is nowhere.
        """
        rows, problems = [NONE], [NONE]
        for step in self.steps:
            if file := step.written(flag):
                if (file.md5, flag) not in self.memory.contents:
                    self.memory.contents[file.md5, flag] = _content(self.store, file, CONTENT[flag])
                content = self.memory.contents[file.md5, flag]
                rows.append(content.rows)
                problems.append(content.problems)
        return Content(np.concatenate(rows), np.unique(np.concatenate(problems)))

    def rewards(self, name: str, file: File) -> Rewards | UnknownRewards:
        """Mean reward and counted verdicts of a round, by its table of scores."""
        try:
            if file.md5 not in self.memory.rewards:
                self.memory.rewards[file.md5] = _rewards(self.store, file)
        except AuditError as error:
            return UnknownRewards(name, file.md5, str(error))
        mean, verdicts = self.memory.rewards[file.md5]
        return Rewards(name, file.md5, sum(verdicts.values()), mean, verdicts)


def table_differences(before: Reader, after: Reader) -> list[TableDifference | UnknownTable]:
    """Rows and problems of each kind of table, shared and of one side only."""
    return [_difference(flag, before, after) for flag in CONTENT]


def reward_pairs(
    before: Reader, earlier: Sequence[Generation], after: Reader, later: Sequence[Generation]
) -> list[RoundPair]:
    """Mean reward and verdicts of each round, those of both chains side by side."""
    pairs = zip_longest(_rounds(before, earlier), _rounds(after, later))
    return [RoundPair(*pair) for pair in pairs]


def _difference(flag: Flag, before: Reader, after: Reader) -> TableDifference | UnknownTable:
    try:
        then, now = before.content(flag), after.content(flag)
    except AuditError as error:
        return UnknownTable(flag.value, str(error))
    shared = np.intersect1d(then.problems, now.problems, assume_unique=True)
    return TableDifference(
        table=flag.value,
        before=Counts(len(then.rows), len(then.problems)),
        after=Counts(len(now.rows), len(now.problems)),
        rows_only_before=int((~np.isin(then.rows, now.rows)).sum()),
        rows_only_after=int((~np.isin(now.rows, then.rows)).sum()),
        shared_problems=len(shared),
    )


def _rounds(
    reader: Reader, generations: Sequence[Generation]
) -> Iterator[Rewards | UnknownRewards]:
    for generation in generations:
        score = generation.steps.get("score")
        if score and (file := score.written(Flag.SCORES)):
            yield reader.rewards(generation.policy, file)


def _content(store: Store, file: File, columns: Sequence[str]) -> Content:
    rows, problems = [NONE], [NONE]
    for batch in batches(store, file, columns):
        texts = map(_text, batch.columns)
        joined = pc.binary_join_element_wise(
            *texts, SEPARATOR, null_handling="replace", null_replacement="\x1e"
        )
        rows.append(_digests(joined))
        problems.append(_digests(pc.unique(batch.column("problem_id"))))
    return Content(np.concatenate(rows), np.unique(np.concatenate(problems)))


def _digests(texts: pa.Array) -> np.ndarray:
    digests = bytearray()
    for text in texts.to_pylist():
        digests += hashlib.blake2b(text.encode(), digest_size=ROW_BYTES).digest()
    return np.frombuffer(bytes(digests), np.uint64)


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type):
        return pc.binary_join(column.cast(pa.list_(pa.string())), " ")
    return column.cast(pa.string())


def _rewards(store: Store, file: File) -> tuple[float | None, Mapping[str, int]]:
    """Mean reward, and how often each verdict was given."""
    verdicts: Counter[str] = Counter()
    total, num_rewarded = 0.0, 0
    for batch in batches(store, file, ("verdict", "reward")):
        for entry in pc.value_counts(batch.column("verdict")).to_pylist():
            verdicts[entry["values"]] += entry["counts"]
        rewards = batch.column("reward")
        num_rewarded += len(rewards) - rewards.null_count
        total += pc.sum(rewards).as_py() or 0.0
    return total / num_rewarded if num_rewarded else None, dict(sorted(verdicts.items()))

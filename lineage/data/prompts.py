"""The prompts of training rows, and those of exam problems, out of the tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from lineage.data.tables import batches, numbers
from lineage.data.training import DEMONSTRATION, Source
from lineage.record.audit import Audit
from lineage.record.errors import AuditError
from lineage.record.flags import Flag
from lineage.record.lock import File
from lineage.record.store import Store

TRAIN = "train"
HELD_OUT = ("heldout", "reserved")
"""Splits that nothing may be trained on: exams ask them, or choose on them."""
TOKENIZER = "tokenizer.json"
WORDING = "prompt.json"
"""A policy's file of the chat template that problems are put in; without it a prompt is bare."""


@dataclass(frozen=True)
class Catalogue:
    """A table of problems: prompt and split of each, by its id."""

    prompts: Mapping[str, str]
    splits: Mapping[str, str]


@dataclass(frozen=True)
class TrainedPrompt:
    """A prompt that rows of a table were trained on."""

    generation: str
    table: str
    row: str
    """The first row."""
    num_rows: int
    problem_id: str
    """The problem that the rows name."""
    prompt: str | None
    """None where the problem is not in its table."""
    is_other: bool = False
    """Whether that is not the prompt of the problem named."""


class Repeats(NamedTuple):
    """Rows with the same values of some columns."""

    first: str
    """The first such row, by its key."""
    num_rows: int


@dataclass
class Reader:
    """Reads each table of problems and each tokenizer once."""

    store: Store
    _catalogues: dict[str, Catalogue] = field(default_factory=dict)
    _tokenizers: dict[bytes, Tokenizer] = field(default_factory=dict)
    _frames: dict[str, tuple[str, str]] = field(default_factory=dict)

    def catalogue(self, problems: File) -> Catalogue:
        """A table of problems."""
        if problems.md5 not in self._catalogues:
            prompts: dict[str, str] = {}
            splits: dict[str, str] = {}
            for batch in batches(self.store, problems, ("problem_id", "prompt", "split")):
                names, texts, sides = (column.to_pylist() for column in batch.columns)
                prompts.update(zip(names, texts, strict=True))
                splits.update(zip(names, sides, strict=True))
            self._catalogues[problems.md5] = Catalogue(prompts, splits)
        return self._catalogues[problems.md5]

    def trained(self, source: Source) -> Iterator[TrainedPrompt]:
        """Each prompt of a training table once."""
        if source.kind == DEMONSTRATION:
            return self._demonstrated(source)
        assert source.sampler is not None
        return self._sampled(source, source.sampler)

    def _demonstrated(self, source: Source) -> Iterator[TrainedPrompt]:
        prompts, table = self.catalogue(source.problems).prompts, source.table
        for (name,), repeats in _distinct(self.store, table, "demo_id", ("problem_id",)).items():
            prompt = prompts.get(str(name))
            yield TrainedPrompt(source.generation, table.path, *repeats, str(name), prompt)

    def _sampled(self, source: Source, sampler: File) -> Iterator[TrainedPrompt]:
        """By the tokens themselves: they may ask something else than the problem named."""
        prompts, tokenizer = self.catalogue(source.problems).prompts, self._tokenizer(sampler)
        keys = ("problem_id", "prompt_tokens")
        for values, repeats in _distinct(self.store, source.table, "rollout_id", keys).items():
            name, content = str(values[0]), values[1]
            assert isinstance(content, bytes)
            tokens = np.frombuffer(content, np.int32).tolist()
            prompt = prompts.get(name)
            is_other = prompt is None or not self._asks(sampler, tokenizer, tokens, prompt)
            if is_other:
                prompt = tokenizer.decode(tokens, skip_special_tokens=False)
            table = source.table.path
            yield TrainedPrompt(source.generation, table, *repeats, name, prompt, is_other)

    def _asks(self, policy: File, tokenizer: Tokenizer, tokens: list[int], question: str) -> bool:
        """Whether tokens put this question; of a chat policy within the words of its first row."""
        if all(member.name != WORDING for member in self.store.members(policy)):
            return tokenizer.encode(question, add_special_tokens=False).ids == tokens
        text = tokenizer.decode(tokens, skip_special_tokens=False)
        before, _, after = text.partition(question.strip())
        frame = (before.rstrip(), after.lstrip())
        if question.strip() not in text:
            return False
        return self._frames.setdefault(policy.md5, frame) == frame

    def _tokenizer(self, policy: File) -> Tokenizer:
        with self.store.open(policy, TOKENIZER) as stream:
            content = stream.read()
        if content not in self._tokenizers:
            try:
                self._tokenizers[content] = Tokenizer.from_buffer(content)
            except Exception as error:  # the tokenizers library raises bare Exception
                raise AuditError(f"{policy.path}/{TOKENIZER} is no tokenizer: {error}") from None
        return self._tokenizers[content]


def exam_problems(
    audit: Audit, trained_on: Sequence[Source], reader: Reader
) -> dict[str, str | None]:
    """The prompts of the problems that exams ask, by id; None where no table of problems has it.

    Raises:
        AuditError: there are none, or a table is nowhere.
    """
    steps = audit.graph.steps.values()
    exams = [step for step in steps if step.group == "examine"]
    files = [step.input(Flag.PROBLEMS) for step in exams]
    files += [source.problems for source in trained_on]
    tables = {file.md5: file for file in files}
    prompts: dict[str, str] = {}
    names: set[str] = set()
    for file in tables.values():
        catalogue = reader.catalogue(file)
        prompts |= catalogue.prompts
        names |= {name for name, split in catalogue.splits.items() if split in HELD_OUT}
    for step in exams:
        splits = reader.catalogue(step.input(Flag.PROBLEMS)).splits
        answers = step.output(Flag.ANSWERS)
        answered = _distinct(audit.store, answers, "problem_id", ("problem_id",))
        names |= {str(name) for (name,) in answered if splits.get(str(name)) != TRAIN}
    for step in steps:
        if step.group == "evaluate":
            grades = step.read(Flag.GRADES) or step.output(Flag.GRADES)
            graded = _distinct(audit.store, grades, "problem_id", ("problem_id", "split"))
            names |= {str(name) for name, split in graded if split != TRAIN}
    if not names:
        raise AuditError(
            "no exam asks a problem and no table of problems holds one out: "
            "there is nothing to leak"
        )
    return {name: prompts.get(name) for name in sorted(names)}


def _distinct(
    store: Store, file: File, row: str, keys: Sequence[str]
) -> dict[tuple[str | bytes, ...], Repeats]:
    """The first row with each value of some columns, and how many. Lists of tokens are bytes."""
    repeats: dict[tuple[str | bytes, ...], Repeats] = {}
    for batch in batches(store, file, [*dict.fromkeys((row, *keys))]):
        coded = [_hashable(batch[name]).dictionary_encode() for name in keys]
        codes = np.zeros(batch.num_rows, np.int64)
        for column in coded:
            codes = codes * len(column.dictionary) + numbers(column.indices)
        _, firsts, counts = np.unique(codes, return_index=True, return_counts=True)
        places = pa.Array.from_buffers(pa.int64(), len(firsts), [None, pa.py_buffer(firsts)])
        values = [column.take(places).dictionary_decode().to_pylist() for column in coded]
        rows = batch[row].take(places).cast(pa.string()).to_pylist()
        for *key, first, count in zip(*values, rows, counts.tolist(), strict=True):
            before = repeats.get(tuple(key), Repeats(first, 0))
            repeats[tuple(key)] = Repeats(before.first, before.num_rows + count)
    return repeats


def _hashable(column: pa.Array) -> pa.Array:
    """Lists of int32 as bytes, which Arrow can group by."""
    if not pa.types.is_list(column.type):
        return column
    offsets = numbers(column.offsets).astype(np.int64)
    values = np.ascontiguousarray(numbers(column.flatten()))
    buffers = [None, pa.py_buffer((offsets - offsets[0]) * values.itemsize), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.large_binary(), len(column), buffers)

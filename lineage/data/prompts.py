"""The prompts that training rows asked, and the problems that exams asked, out of the tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from lineage.data.training import DEMONSTRATION, Source, batches, given, numbers
from lineage.record.audit import Audit
from lineage.record.errors import AuditError
from lineage.record.lock import File, Step
from lineage.record.store import Store

HELDOUT, TRAIN = "heldout", "train"
TOKENIZER = "tokenizer.json"
WORDING = "prompt.json"
"""Where a policy's folder holds it, questions are put in a chat template; else a prompt is the question itself."""


@dataclass(frozen=True)
class Catalogue:
    """A table of problems: prompt and split of each, by its id."""

    prompts: Mapping[str, str]
    splits: Mapping[str, str]


class Asked(NamedTuple):
    """A prompt that rows of a table asked."""

    generation: str
    table: str
    row: str
    """The first row."""
    num_rows: int
    problem_id: str
    """The problem that the rows name."""
    prompt: str | None
    """What was asked; None where the problem is not in its table."""
    is_other: bool = False
    """Whether that is not the prompt of the problem named."""


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
                names, asked, held = (column.to_pylist() for column in batch.columns)
                prompts.update(zip(names, asked, strict=True))
                splits.update(zip(names, held, strict=True))
            self._catalogues[problems.md5] = Catalogue(prompts, splits)
        return self._catalogues[problems.md5]

    def trained(self, source: Source) -> Iterator[Asked]:
        """Each prompt of a training table once."""
        prompts = self.catalogue(source.problems).prompts
        if source.kind == DEMONSTRATION:
            for (name,), (row, num_rows) in _distinct(self.store, source.table, "demo_id", ("problem_id",)).items():
                yield Asked(source.generation, source.table.path, row, num_rows, name, prompts.get(name))
            return
        assert source.sampler is not None
        tokenizer = self._tokenizer(source.sampler)
        found = _distinct(self.store, source.table, "rollout_id", ("problem_id", "prompt_tokens"))
        for (name, content), (row, num_rows) in found.items():
            tokens = np.frombuffer(content, np.int32).tolist()
            claimed = prompts.get(name)
            is_other = claimed is None or not self._asks(source.sampler, tokenizer, tokens, claimed)
            asked = tokenizer.decode(tokens, skip_special_tokens=False) if is_other else claimed
            yield Asked(source.generation, source.table.path, row, num_rows, name, asked, is_other)

    def _asks(self, policy: File, tokenizer: Tokenizer, tokens: list[int], question: str) -> bool:
        """Whether these tokens put this question. Of a chat policy: within the same words as its first row did."""
        if all(member.name != WORDING for member in self.store.members(policy)):
            return tokenizer.encode(question, add_special_tokens=False).ids == tokens
        text = tokenizer.decode(tokens, skip_special_tokens=False)
        before, _, after = text.partition(question.strip())
        frame = (before.rstrip(), after.lstrip())
        return question.strip() in text and self._frames.setdefault(policy.md5, frame) == frame

    def _tokenizer(self, policy: File) -> Tokenizer:
        with self.store.open(policy, TOKENIZER) as stream:
            content = stream.read()
        if content not in self._tokenizers:
            try:
                self._tokenizers[content] = Tokenizer.from_buffer(content)
            except Exception as error:  # the tokenizers library raises bare Exception
                raise AuditError(f"{policy.path}/{TOKENIZER} is no tokenizer: {error}") from None
        return self._tokenizers[content]


def exam_problems(audit: Audit, trained_on: Sequence[Source], reader: Reader) -> dict[str, str | None]:
    """The prompts of the problems that exams ask, by id; None where no table of problems has it.

    Raises:
        AuditError: there are none, or a table is nowhere.
    """
    exams = [step for step in audit.graph.steps.values() if step.group == "examine"]
    tables = {file.md5: file for file in (given(step, "problems") for step in exams)}
    tables.update({source.problems.md5: source.problems for source in trained_on})
    prompts = {name: text for file in tables.values() for name, text in reader.catalogue(file).prompts.items()}
    found = {n for file in tables.values() for n, split in reader.catalogue(file).splits.items() if split == HELDOUT}
    for step in exams:
        splits = reader.catalogue(given(step, "problems")).splits
        names = _distinct(audit.store, _made(step, "answers"), "problem_id", ("problem_id",))
        found |= {name for (name,) in names if splits.get(name) != TRAIN}
    for step in audit.graph.steps.values():
        if step.group == "evaluate":
            asked = _distinct(audit.store, _made(step, "grades"), "problem_id", ("problem_id", "split"))
            found |= {name for name, split in asked if split != TRAIN}
    if not found:
        raise AuditError("no exam asks a problem and no table of problems holds one out: there is nothing to leak")
    return {name: prompts.get(name) for name in sorted(found)}


def _made(step: Step, flag: str) -> File:
    out = step.written(flag)
    if out is None:
        raise AuditError(f"dvc.lock: step {step.name} names no {flag} among its outputs; `dvc repro {step.name}`")
    return out


def _distinct(store: Store, file: File, row: str, keys: Sequence[str]) -> dict[tuple[Any, ...], tuple[str, int]]:
    """The first row with each value of some columns, and how many have it. Lists of tokens come as bytes."""
    found: dict[tuple[Any, ...], tuple[str, int]] = {}
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
            earlier = found.get(tuple(key))
            found[tuple(key)] = (earlier[0], earlier[1] + count) if earlier else (first, count)
    return found


def _hashable(column: pa.Array) -> pa.Array:
    """Lists of int32 as bytes, which Arrow can group by."""
    if not pa.types.is_list(column.type):
        return column
    offsets = numbers(column.offsets).astype(np.int64)
    values = np.ascontiguousarray(numbers(column.flatten()))
    buffers = [None, pa.py_buffer((offsets - offsets[0]) * values.itemsize), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.large_binary(), len(column), buffers)

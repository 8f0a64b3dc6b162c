"""What an exam's grades come to, problem by problem.

It is all that the exam's metrics need, so that grades are read in a stream.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from stages.contracts.storage.joins import aligned
from stages.contracts.storage.reading import read_batches
from stages.contracts.tables.grades import GRADES
from stages.pure import exam

COUNTS = tuple(name for name in GRADES.schema.names if name.startswith("num_"))
UNPARSABLE = "unparsable"  # the verdict
PLACE = ["difficulty", "split", "problem_id", "budget_tokens"]


class Sums(NamedTuple):
    """An exam, or a part of it.

    `answers` has a row per problem and budget: the mean reward, NaN where the verifier failed on
    all of its answers, how many answers there are, and sums over them. `thoughtful` has the mean
    reward of a held-out problem's answers by how many segments they thought; `choices` what its
    samples are worth together.
    """

    answers: pd.DataFrame
    thoughtful: pd.DataFrame
    choices: pd.DataFrame

    def at_level(self, difficulty: int) -> "Sums":
        """The problems of one difficulty."""
        return Sums(*(frame[frame["difficulty"] == difficulty] for frame in self))


def read_sums(grades: Path) -> Sums:
    """The sums of a table of grades."""
    counted = read_batches(grades, GRADES, ["sample_index", "split"])
    most = (
        pc.max(batch.filter(pc.equal(batch["split"], "heldout"))["sample_index"]).as_py()
        for batch in counted
    )
    sizes = samples_up_to(max((index for index in most if index is not None), default=0) + 1)
    graded = (batch for (batch,) in aligned("problem_id", read_batches(grades, GRADES)))
    return joined([sums_of(batch.to_pandas(), sizes) for batch in graded])


def samples_up_to(num_samples: int) -> list[int]:
    """1, 2, 4 … up to the samples of a problem."""
    return [2**power for power in range(num_samples.bit_length())]


def joined(several: Sequence[Sums]) -> Sums:
    """The sums of parts that share no problem."""
    return Sums(
        *(
            pd.concat([f for f in frames if len(f)] or frames[:1], ignore_index=True)
            for frames in zip(*several, strict=True)
        )
    )


def sums_of(graded: pd.DataFrame, sizes: Sequence[int]) -> Sums:
    """The sums of whole problems' grades; `sizes` are the numbers of samples to choose among."""
    rows = graded.astype({"reward": float, **dict.fromkeys(("used_tokens", *COUNTS), np.int64)})
    answers = (
        rows.assign(is_unverified=rows["reward"].isna())
        .groupby(PLACE, as_index=False)
        .agg(
            reward=("reward", "mean"),
            num_answers=("reward", "size"),
            num_unverified=("is_unverified", "sum"),
            used_tokens=("used_tokens", "sum"),
            num_forced=("is_forced", "sum"),
            **{name: (name, "sum") for name in COUNTS},
        )
    )
    heldout = rows[rows["split"] == "heldout"]
    known = heldout[heldout["reward"].notna()]
    thoughtful = known.groupby([*PLACE, "num_segments"], as_index=False).agg(
        reward=("reward", "mean")
    )
    names = ["difficulty", "budget_tokens", "k", "pass_at_k", "maj_at_k", "best_of_n"]
    return Sums(answers, thoughtful, pd.DataFrame(choices(known, sizes), columns=names))


def choices(
    known: pd.DataFrame, sizes: Sequence[int]
) -> Iterator[tuple[int, int, int, float, float, float]]:
    """What each problem's verified samples at each budget are worth together.

    As difficulty, budget, k, pass@k, maj@k, best-of-n.

    Answers are equal by their text. All that could not be parsed count as one answer, a wrong one.
    """
    ordered = known.sort_values(["budget_tokens", "problem_id", "sample_index"])
    texts = ordered["answer"].str.strip().where(ordered["verdict"] != UNPARSABLE, None)
    answers, rewards = (
        pd.factorize(texts, use_na_sentinel=False)[0],
        ordered["reward"].to_numpy(float),
    )
    scores = (
        rewards if ordered["judge_score"].isna().any() else ordered["judge_score"].to_numpy(float)
    )
    starts = np.flatnonzero(~ordered.duplicated(["budget_tokens", "problem_id"]))
    budgets, difficulties = ordered["budget_tokens"].to_numpy(), ordered["difficulty"].to_numpy()
    for start, end in pairwise([*starts, len(ordered)]):
        sample_rewards, num_known = rewards[start:end], np.array([end - start])
        for k in sizes:
            yield (
                int(difficulties[start]),
                int(budgets[start]),
                k,
                float(exam.pass_at_k(np.array([round(sample_rewards.sum())]), num_known, k)[0]),
                exam.majority_at_k(answers[start:end], sample_rewards == 1, k),
                exam.best_of_k(scores[start:end], sample_rewards, k),
            )

"""What an exam's grades come to, problem by problem.

It is all that the exam's metrics need, so that grades are read in a stream.
"""

from collections.abc import Sequence
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
from stages.running.errors import BadInput

COUNTS = tuple(name for name in GRADES.schema.names if name.startswith("num_"))
UNPARSABLE = "unparsable"  # the verdict
PLACE = ["difficulty", "split", "problem_id", "temperature", "budget_tokens"]


class Sums(NamedTuple):
    """An exam, or a part of it.

    `answers` has a row per problem, temperature and budget: the mean reward, NaN where the verifier
    failed on all of its answers, how many answers there are, and sums over them. `thoughtful` has
    the mean reward of a held-out problem's answers by how many segments they thought; `choices`
    what its samples are worth together.
    """

    answers: pd.DataFrame
    thoughtful: pd.DataFrame
    choices: pd.DataFrame

    def at_level(self, difficulty: int) -> "Sums":
        """The problems of one difficulty."""
        return Sums(*(frame[frame["difficulty"] == difficulty] for frame in self))

    def at_temperature(self, temperature: float) -> "Sums":
        """The answers sampled at one temperature.

        Raises:
            BadInput: there are none of held-out problems.
        """
        # Tables hold a temperature in single precision.
        of_one = Sums(*(f[f["temperature"] == np.float32(temperature)] for f in self))
        if not (of_one.answers["split"] == "heldout").any():
            raise BadInput(
                f"exam: grades have no held-out answers at temperature {temperature}; run "
                "`dvc repro`"
            )
        return of_one


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
    return Sums(answers, thoughtful, choices(known, sizes))


def choices(known: pd.DataFrame, sizes: Sequence[int]) -> pd.DataFrame:
    """What each problem's verified samples at each temperature and budget are worth together.

    Columns: difficulty, temperature, budget_tokens, k, pass_at_k, maj_at_k, best_of_n.

    Answers are equal by their text. All that could not be parsed count as one answer, a wrong one.
    """
    group = ["temperature", "budget_tokens", "problem_id"]
    ordered = known.sort_values([*group, "sample_index"])
    texts = ordered["answer"].str.strip().where(ordered["verdict"] != UNPARSABLE, None)
    answers, rewards = (
        pd.factorize(texts, use_na_sentinel=False)[0],
        ordered["reward"].to_numpy(float),
    )
    scores = (
        rewards if ordered["judge_score"].isna().any() else ordered["judge_score"].to_numpy(float)
    )
    starts = np.flatnonzero(~ordered.duplicated(group))
    worth: list[tuple[int, float, float, float]] = []
    for start, end in pairwise([*starts, len(ordered)]):
        sample_rewards, num_known = rewards[start:end], np.array([end - start])
        for k in sizes:
            worth.append(
                (
                    k,
                    float(exam.pass_at_k(np.array([round(sample_rewards.sum())]), num_known, k)[0]),
                    exam.majority_at_k(answers[start:end], sample_rewards == 1, k),
                    exam.best_of_k(scores[start:end], sample_rewards, k),
                )
            )
    places = ordered[["difficulty", "temperature", "budget_tokens"]].iloc[starts.repeat(len(sizes))]
    values = pd.DataFrame(worth, columns=["k", "pass_at_k", "maj_at_k", "best_of_n"])
    return pd.concat([places.reset_index(drop=True), values], axis=1)

"""Filling the splits: by canonical name alone, nothing twice, and an end to looking."""

from itertools import cycle, repeat

import pytest

from stages.running.errors import BadInput
from stages.tasks.splits import fill_splits, split_of
from stages.tasks.task import Problem


def problem(name: str) -> Problem | None:
    split = split_of(name, 0)
    return split and Problem(name, split, 2, name, "", {}, 0)


def test_a_tenth_of_all_names_is_held_out_and_another_kept_apart() -> None:
    names = [f"{n}-{n + 1}>{n % 7}" for n in range(5000)]
    splits = [[split_of(name, bucket) for name in names] for bucket in (0, 1)]
    assert all(split.count("heldout") / 5000 == pytest.approx(0.1, abs=0.015) for split in splits)
    assert [a == "train" for a in splits[0]] == [
        b == "train" for b in splits[1]
    ]  # tuned on the same problems
    assert not [pair for pair in zip(*splits, strict=True) if pair == ("heldout", "heldout")]


def test_each_problem_is_taken_once_in_the_order_drawn_and_only_where_one_is_missing() -> None:
    names = [str(n) for n in range(60)]
    train = [name for name in names if split_of(name, 0) == "train"]
    heldout = [name for name in names if split_of(name, 0) == "heldout"]
    assert len(heldout) >= 2
    draws = (draw for name in cycle(names) for draw in (None, problem(name), problem(name)))
    taken = [
        p.problem_id for p in fill_splits(draws, num_train=3, num_heldout=2, kind="of this kind")
    ]
    assert taken == sorted([*train[:3], *heldout[:2]], key=names.index)


def test_looking_ends_where_nothing_new_is_drawn() -> None:
    draws = repeat(problem("2-3>6"))
    with pytest.raises(
        BadInput, match=r"no more distinct problems of one kind; still missing [12] train and"
    ):
        list(fill_splits(draws, num_train=2, num_heldout=2, kind="of one kind"))

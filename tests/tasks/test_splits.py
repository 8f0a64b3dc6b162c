"""Filling the splits: by canonical name alone, nothing twice, and an end to looking."""

from itertools import cycle, repeat

import pytest

from stages.contracts.params.task import Tier
from stages.running.errors import BadInput
from stages.tasks.splits import counts_text, fill_splits, sizes, split_of
from stages.tasks.task import Problem


def problem(name: str) -> Problem:
    return Problem(name, split_of(name, 0), 2, name, "", {}, 0)


def test_a_tenth_of_all_names_is_held_out_and_another_reserved() -> None:
    names = [f"{n}-{n + 1}>{n % 7}" for n in range(5000)]
    splits = [[split_of(name, bucket) for name in names] for bucket in (0, 1)]
    assert all(split.count("heldout") / 5000 == pytest.approx(0.1, abs=0.015) for split in splits)
    assert [a == "train" for a in splits[0]] == [
        b == "train" for b in splits[1]
    ]  # tuned on the same problems
    swapped = {"train": "train", "heldout": "reserved", "reserved": "heldout"}
    assert splits[1] == [swapped[split] for split in splits[0]]


def test_each_problem_is_taken_once_in_the_order_drawn_and_only_where_one_is_missing() -> None:
    names = [str(n) for n in range(60)]
    train = [name for name in names if split_of(name, 0) == "train"]
    heldout, reserved = (
        [name for name in names if split_of(name, 0) == split] for split in ("heldout", "reserved")
    )
    assert min(len(heldout), len(reserved)) >= 2
    draws = (draw for name in cycle(names) for draw in (None, problem(name), problem(name)))
    wanted = {"train": 3, "heldout": 2, "reserved": 1}
    taken = [p.problem_id for p in fill_splits(draws, wanted, "of this kind")]
    assert taken == sorted([*train[:3], *heldout[:2], reserved[0]], key=names.index)
    assert wanted == {"train": 3, "heldout": 2, "reserved": 1}


def test_looking_ends_where_nothing_new_is_drawn() -> None:
    draws = repeat(problem("2-3>6"))
    with pytest.raises(
        BadInput,
        match=r"of one kind; still missing [12] train, [12] heldout and 0 reserved;",
    ):
        list(fill_splits(draws, {"train": 2, "heldout": 2, "reserved": 0}, "of one kind"))


def test_a_tier_of_any_task_says_how_many_of_each_split() -> None:
    tier = Tier(difficulty=0, num_train=5, num_heldout=3, num_reserved=2)
    assert sizes(tier) == {"train": 5, "heldout": 3, "reserved": 2}
    assert counts_text(sizes(tier)) == "5 train, 3 heldout and 2 reserved"

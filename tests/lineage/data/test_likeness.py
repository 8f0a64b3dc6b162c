"""Which prompts are one problem, on hand-made ones of every task, and which are not."""

import random
from itertools import combinations

import pytest

from lineage.data.likeness import (
    MIN_JACCARD,
    Neighbours,
    canonical,
    jaccard,
    numbers,
    shingles,
    words,
)

TOM = (
    "Tom has 12 apples and 3 pears in a basket, gives 5 apples to Ann, and eats one pear on his "
    "way home. How many apples has he left?"
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<bos> 3 5 7 T36 :", "<bos> 7 3 5 T36 :"),
        ("<bos> 3 5 7 T36 :", "5  3 7\tt36:"),
        ("<bos> 3 5 7 T36 :", "<bos> T36 3 5 7 :"),
        ("<bos> 3 5 7 T36 :", "＜ｂｏｓ＞ ３ ５ ７ Ｔ３６ ："),
        ("<bos> 3 5 7 T36 :", "<bos> 3\u200b 5 \u0667 T36 :"),
        ("<bos> 3 * 5 * 7 mod 23 :", "<bos> 7 * 5 * 3 mod 23 :"),
        ("<bos> 3 * 5 * 7 mod 23 :", "3*5×7 MOD 23"),
        ("<bos>What is 6 times 7?\n", "WHAT  is 6 times\n7 ?"),
        ("<bos>What is 5 - 3?\n", "What is 5 − 3?"),
        ("Straße", "STRASSE"),
    ],
)
def test_rewritings(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<bos> 3 5 7 T36 :", "<bos> 3 5 36 T7 :"),
        ("<bos> 3 5 7 T36 :", "<bos> 3 5 7 T37 :"),
        ("<bos> 3 5 T7 :", "<bos> 3 3 5 T7 :"),
        ("<bos> 1 23 T4 :", "<bos> 12 3 T4 :"),
        ("<bos> 3 * 5 mod 23 :", "<bos> 3 * 23 mod 5 :"),
        ("<bos> 3 * 5 mod 23 :", "<bos> 3 + 5 mod 23 :"),
        ("<bos> 3 5 T23 :", "<bos> 3 * 5 mod 23 :"),
        ("<bos>What is 5 minus 3?\n", "<bos>What is 3 minus 5?\n"),
        ("<bos>What comes after 2, 4, 8?\n", "<bos>What comes after 4, 2, 8?\n"),
        ("<bos>Add 1.5 and 2.\n", "<bos>Add 1 and 5.2.\n"),
        ("<bos>Fill in: _ # _ .\n", "<bos>Fill in: # _ _ .\n"),
    ],
)
def test_other_problems(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)
    assert Neighbours({"exam": one}).find(other) is None


def test_every_small_problem_is_itself_alone() -> None:
    """Of all multisets of three numbers, with all targets, and products: none is another."""
    shown = [*combinations(range(1, 9), 3), *((n, n, m) for n in range(1, 9) for m in range(1, 9))]
    forms = [canonical(f"<bos> {a} {b} {c} T{t} :") for a, b, c in shown for t in range(1, 30)]
    forms += [canonical(f"<bos> {a} * {b} * {c} mod {m} :") for a, b, c in shown for m in (7, 23)]
    assert len({*forms}) == len(forms)


@pytest.mark.parametrize(
    "near",
    [
        TOM.replace("has he left", "does he have left"),
        TOM.replace(" on his way home", " on his way"),
        TOM.replace("Tom has", "Well, Tom has").lower(),
        TOM.replace("basket", "bag"),
    ],
)
def test_near_duplicates(near: str) -> None:
    assert canonical(near) != canonical(TOM)
    exam = Neighbours(
        {
            "tom": TOM,
            "ann": "Ann reads 30 pages on each of 4 days. How many pages has she read by then?",
        }
    )
    assert exam.find(near) == "tom"


@pytest.mark.parametrize(
    "other",
    [
        TOM.replace("12", "13"),
        TOM.replace("12 apples and 3 pears", "3 apples and 12 pears"),
        (
            "Ann has 12 coins and finds 3 more, then she spends 5 of them. How many coins are in "
            "her purse by then?"
        ),
        "Tom has 12, 3, 5.",
    ],
    ids=["other number", "numbers swapped", "other story", "too short"],
)
def test_no_near_duplicates(other: str) -> None:
    assert Neighbours({"tom": TOM}).find(other) is None


def test_a_template_that_exam_problems_share_is_no_likeness() -> None:
    template = (
        "Write the letters of the word that follows in reverse order, one after the other, "
        "nothing else: {}"
    )
    exam = Neighbours(
        {word: template.format(word) for word in ("pear", "plum", "fig")} | {"tom": TOM}
    )
    assert exam.find(template.format("apple")) is None
    assert (exam.num_prompts, exam.num_families) == (4, 3)
    assert exam.find(TOM.replace("basket", "bag")) == "tom"


def test_the_index_finds_what_comparing_all_pairs_finds() -> None:
    rng = random.Random(4)
    vocabulary = [f"w{chr(97 + n)}" for n in range(12)]
    exam = {str(n): " ".join(rng.choices(vocabulary, k=rng.randint(8, 30))) for n in range(60)}
    given = []
    for prompt in exam.values():
        changed = prompt.split()
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] = rng.choice(vocabulary)
        given.append(" ".join(changed))
    index, num_near = Neighbours(exam), 0
    for prompt in given:
        given_shingles, near = shingles(words(prompt)), []
        for name, other in exam.items():
            if jaccard(given_shingles, shingles(words(other))) >= MIN_JACCARD:
                near.append(name)
        num_near += len(near)
        assert index.find(prompt) == (near[0] if len(near) == 1 else None)
    assert num_near > 10
    assert index.num_families == 0
    assert index.num_compared < len(exam) * len(given)


def test_numbers_are_read_in_order() -> None:
    assert numbers(words("Add 1.5 to T36, then 007")) == ("1.5", "36", "007")

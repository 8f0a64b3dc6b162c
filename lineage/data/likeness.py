"""When two prompts ask the same: word for word, rewritten, or nearly so.

A rewritten prompt differs in what no reader minds: case, white space, look-alike digits and signs
of Unicode, marks of the tokenizer in front. In the two forms whose numbers stand in no order
(numbers to reach a target, factors of a product) it may differ in their order too; target and
modulus keep their role. Elsewhere order counts, as in 5 - 3. Nearly the same are two longer prompts
with the same numbers in the same order and mostly the same pairs of neighbouring words. Exam
problems that are so to each other are a family that shares a template: likeness tells nothing
there.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

MIN_WORDS = 8
MIN_JACCARD = 0.8
SHINGLE_WORDS = 2

LEADING_MARKS = re.compile(r"(?:\s*<[^<>\s]{1,20}>)+")
WORD = re.compile(r"\d+\.\d+|\w+|[^\w\s]")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
TO_TARGET = re.compile(r"(?P<before>(?:\d+ )*)t ?(?P<target>\d+)(?P<after>(?: \d+)*)(?: :)?")
PRODUCT = re.compile(r"(?P<factors>\d+(?: \* \d+)*) mod (?P<modulus>\d+)(?: :)?")
SIGNS = str.maketrans(
    dict.fromkeys("−–—‐‑‒", "-") | dict.fromkeys("×·∙⋅∗", "*") | dict.fromkeys("÷∕", "/")
)

Shingle = tuple[str, ...]


def words(prompt: str) -> list[str]:
    """Words, numbers and signs of a prompt, in plain lower case."""
    text = plain(prompt)
    marks = LEADING_MARKS.match(text)
    return WORD.findall(text, marks.end() if marks else 0)


def plain(text: str) -> str:
    """Lower case, digits of every script as ASCII, signs of a keyboard, nothing invisible."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    characters = []
    for char in folded.translate(SIGNS):
        if unicodedata.category(char) != "Cf":
            characters.append(str(unicodedata.decimal(char)) if char.isdecimal() else char)
    return "".join(characters)


def canonical(prompt: str) -> str:
    """Equal for prompts that are rewritings of each other."""
    text = " ".join(words(prompt))
    if match := TO_TARGET.fullmatch(text):
        numbers = [int(number) for number in (match["before"] + match["after"]).split()]
        return f"numbers {sorted(numbers)} target {int(match['target'])}"
    if match := PRODUCT.fullmatch(text):
        factors = sorted(map(int, match["factors"].split(" * ")))
        return f"factors {factors} modulus {int(match['modulus'])}"
    return text


def jaccard(one: frozenset[Shingle], other: frozenset[Shingle]) -> float:
    """Share of the shingles of either that both have; 1 where neither has any."""
    return len(one & other) / len(one | other) if one or other else 1.0


class Neighbours:
    """Exam prompts, to find those nearly the same as a given prompt.

    Two sets whose Jaccard similarity is s or more share one of the rarest (1 - s) of the shingles
    of each, whatever the order of rarity, so an index of those few finds every pair, and looks at
    few others.
    """

    def __init__(self, prompts: Mapping[str, str]) -> None:
        """`prompts` by the name to report."""
        self.num_compared = 0
        texts = {name: words(prompt) for name, prompt in prompts.items()}
        texts = {name: text for name, text in texts.items() if len(text) >= MIN_WORDS}
        self._shingles = {name: shingles(text) for name, text in texts.items()}
        self._counts: Counter[Shingle] = Counter()
        for one in self._shingles.values():
            self._counts.update(one)
        self._index: dict[tuple[tuple[str, ...], Shingle], list[str]] = defaultdict(list)
        for name, one in self._shingles.items():
            for shingle in self._rarest(one):
                self._index[numbers(texts[name]), shingle].append(name)
        self._families = set()
        for name, one in self._shingles.items():
            if len(self._near(one, numbers(texts[name]))) > 1:
                self._families.add(name)

    @property
    def num_prompts(self) -> int:
        """Exam prompts that are long enough."""
        return len(self._shingles)

    @property
    def num_families(self) -> int:
        """Exam prompts that are nearly the same as another."""
        return len(self._families)

    def find(self, prompt: str) -> str | None:
        """The name of an exam prompt that is nearly the same; None without one, or with many."""
        text = words(prompt)
        if len(text) < MIN_WORDS or not self._shingles:
            return None
        near = self._near(shingles(text), numbers(text))
        return near[0] if len(near) == 1 and near[0] not in self._families else None

    def _near(self, one: frozenset[Shingle], digits: tuple[str, ...]) -> list[str]:
        names: set[str] = set()
        for shingle in self._rarest(one):
            names.update(self._index.get((digits, shingle), ()))
        self.num_compared += len(names)
        return [name for name in sorted(names) if jaccard(one, self._shingles[name]) >= MIN_JACCARD]

    def _rarest(self, one: frozenset[Shingle]) -> list[Shingle]:
        num = len(one) - math.ceil(MIN_JACCARD * len(one)) + 1
        return sorted(one, key=lambda shingle: (self._counts[shingle], shingle))[:num]


def shingles(text: Sequence[str]) -> frozenset[Shingle]:
    """Every run of neighbouring words."""
    return frozenset(zip(*(text[start:] for start in range(SHINGLE_WORDS)), strict=False))


def numbers(text: Sequence[str]) -> tuple[str, ...]:
    """The numbers among words, in their order."""
    return tuple(number for word in text for number in NUMBER.findall(word))

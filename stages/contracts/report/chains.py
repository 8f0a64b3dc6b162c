"""The tree of policies: its chains of rounds, and one look for each policy in every figure."""

from typing import NamedTuple

from stages.contracts.params import Params

# Okabe and Ito's palette: readers of every colour vision tell these apart on white and on near black.
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GLYPHS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖"}
LARGEST_TINT = 0.6
GREYS = (0x80, 0xB0, 0x60, 0x9A)


class Look(NamedTuple):
    """How figures and legends show a policy. `marker` is matplotlib's, and tells what a colour alone may not."""

    color: str
    marker: str

    @property
    def glyph(self) -> str:
        """The marker as a character."""
        return GLYPHS[self.marker]


class Branch(NamedTuple):
    """Policies each trained from the one before, and the branches that fork from the last."""

    policies: list[str]
    branches: list["Branch"]


def chains(settings: Params) -> list[list[str]]:
    """The rounds from an init down to each policy that no round starts from."""
    parents = {entry.parent for entry in settings.rounds.values()}
    leaves = [name for name in settings.rounds if name not in parents]
    return [list(reversed(settings.ancestors(leaf)))[1:] for leaf in leaves]


def looks(settings: Params) -> dict[str, Look]:
    """A look for every policy: inits in grey, each chain in a hue and marker of its own, darker with each round."""
    found = {name: Look("#" + f"{GREYS[i % len(GREYS)]:02x}" * 3, MARKERS[0]) for i, name in enumerate(settings.inits)}
    for number, chain in enumerate(chains(settings)):
        hue, marker = HUES[number % len(HUES)], MARKERS[1 + number % (len(MARKERS) - 1)]
        own = [name for name in chain if name not in found]
        for position, name in enumerate(own, start=1):
            found[name] = Look(_tint(hue, LARGEST_TINT * (len(own) - position) / max(1, len(own) - 1)), marker)
    return found


def recipe_names(settings: Params, chain: list[str]) -> list[str]:
    """The recipes along a chain, each once."""
    return list(dict.fromkeys(settings.rounds[name].recipe for name in chain))


def replicates(settings: Params) -> list[list[str]]:
    """The examined policies, together where they differ in seeds only: equal inits, then equal recipes and judges."""
    found: dict[str, list[str]] = {}
    for policy in settings.exams:
        *line, init = settings.ancestors(policy)
        start = settings.inits[init].model_dump_json(exclude={"seed"})
        taken = [(settings.rounds[name].recipe, settings.rounds[name].judge) for name in line]
        found.setdefault(f"{start} {taken}", []).append(policy)
    return [*found.values()]


def branch(settings: Params, policy: str) -> Branch:
    """The line from a policy down to where it ends or forks, and the branches from there."""
    line = [policy]
    while len(below := [name for name, entry in settings.rounds.items() if entry.parent == line[-1]]) == 1:
        line += below
    return Branch(line, [branch(settings, name) for name in below])


def _tint(color: str, white: float) -> str:
    """A colour mixed with a share of white."""
    channels = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(channel + (255 - channel) * white):02x}" for channel in channels)

"""One look for each policy, the same in every figure."""

from collections.abc import Iterable
from typing import NamedTuple

from stages.contracts.policy_tree import Rounds, chains

# Okabe and Ito's palette: readers of every colour vision tell these apart on white and on near
# black.
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GLYPHS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖"}
LARGEST_TINT = 0.6
GREYS = (0x80, 0xB0, 0x60, 0x9A)


class Look(NamedTuple):
    """How figures and legends show a policy.

    `marker` is matplotlib's, and tells what a colour alone may not.
    """

    color: str
    marker: str

    @property
    def glyph(self) -> str:
        """The marker as a character."""
        return GLYPHS[self.marker]


def looks(inits: Iterable[str], rounds: Rounds) -> dict[str, Look]:
    """A look for every policy: inits in grey, each chain in a hue and marker of its own.

    A chain's policies are darker with each round.
    """
    found = {
        name: Look("#" + f"{GREYS[i % len(GREYS)]:02x}" * 3, MARKERS[0])
        for i, name in enumerate(inits)
    }
    for number, chain in enumerate(chains(rounds)):
        hue, marker = HUES[number % len(HUES)], MARKERS[1 + number % (len(MARKERS) - 1)]
        own = [name for name in chain if name not in found]
        for position, name in enumerate(own, start=1):
            found[name] = Look(
                _tint(hue, LARGEST_TINT * (len(own) - position) / max(1, len(own) - 1)), marker
            )
    return found


def _tint(color: str, white: float) -> str:
    """A colour mixed with a share of white."""
    channels = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(channel + (255 - channel) * white):02x}" for channel in channels)

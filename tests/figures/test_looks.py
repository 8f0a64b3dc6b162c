"""One look for each policy: inits grey, each chain a hue and a marker, darker with each round."""

from stages.contracts.params.round import Round
from stages.figures.looks import GLYPHS, HUES, MARKERS, Look, looks


def entry(parent: str) -> Round:
    return Round(parent=parent, reference="r0", recipe="a", judge="exact", seed=1)


ROUNDS = {"i1": entry("r0"), "i2": entry("i1"), "o1": entry("r0"), "b1": entry("i1")}


def test_chains_are_told_apart_by_more_than_colour() -> None:
    styles = looks(["r0", "r1"], ROUNDS)
    assert styles.keys() == {"r0", "r1", *ROUNDS}
    assert len(set(styles.values())) == len(styles)
    assert styles["i1"].marker == styles["i2"].marker == "s"
    assert len({styles[name].marker for name in ("r0", "i1", "o1", "b1")}) == 4


def test_the_last_round_of_a_chain_has_its_whole_hue() -> None:
    styles = looks(["r0"], ROUNDS)
    assert styles["i2"].color.upper() == HUES[0]
    assert styles["o1"].color.upper() == HUES[1]
    lighter, darker = (int(styles[name].color[1:3], 16) for name in ("i1", "i2"))
    assert lighter > darker


def test_inits_are_grey() -> None:
    for look in looks(["r0", "r1"], {}).values():
        assert look.color[1:3] == look.color[3:5] == look.color[5:7]
        assert look.marker == MARKERS[0]


def test_a_marker_is_a_character_too() -> None:
    assert set(GLYPHS) == set(MARKERS)
    assert Look("#000000", "^").glyph == "▲"

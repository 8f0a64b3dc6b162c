"""The drawing of a policy's ancestors: everything below what it was made of, lines apart."""

import re
from pathlib import Path

from lineage.answers.show import show
from lineage.record.audit import open_audit
from lineage.telling.picture import ROW, Picture, picture


def drawn(repository: Path) -> Picture:
    return picture(show(open_audit(repository, None), "i3"))


def test_every_ancestor_is_below_what_it_was_made_of(judged: Path) -> None:
    drawing = drawn(judged)
    at = {place.node.name: place for place in drawing.nodes}
    assert set(at) == {
        *("problems data/problems.parquet", "demonstrations r0", "base r0", "judge j1"),
        *("r0", "o1", "i1", "i2", "i3"),
    }
    assert [place.y for place in drawing.nodes] == [ROW // 2 + ROW * row for row in range(9)]
    for place in drawing.nodes:
        assert all(at[source].y < place.y for source in place.node.sources)
    assert at["judge j1"].node.sources == ("r0", "o1")
    assert len({at[name].x for name in ("base r0", "r0", "i1", "i2", "i3")}) == 1
    # of demonstrations, of r0, of parents, of the judge, by the judge, held close
    assert len(drawing.edges) == 1 + 2 + 4 + 2 + 2 + 2


def test_no_two_lines_share_a_lane(judged: Path) -> None:
    """Beside the chain of parents: upright pieces of different sources lie apart."""
    drawing = drawn(judged)
    chain_x = min(place.x for place in drawing.nodes)
    owners: dict[tuple[int, int], set[tuple[str, str]]] = {}
    for edge in drawing.edges:
        begin = re.match(r"M(\d+ \d+)", edge.path)
        assert begin
        for down in re.finditer(r"(?:^M|C.* )(\d+) (\d+)V(\d+)", edge.path):
            if int(down[1]) != chain_x:
                for row in range(int(down[2]), int(down[3]), ROW):
                    owner = (edge.kind, begin[1])
                    owners.setdefault((int(down[1]), row), set()).add(owner)
    assert owners
    for lines in owners.values():
        assert len(lines) == 1 or {kind for kind, _ in lines} == {"parent"}

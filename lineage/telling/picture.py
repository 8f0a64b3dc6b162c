"""The ancestors of a policy as a drawing: a node a row, oldest on top, edges in lanes beside.

A row of the drawing stands beside the row of a table. The chain of parents keeps the first lane;
every other node takes the first lane that is free from the first row it was made of to the last row
that needs it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lineage.answers.show import Ancestor, Ancestors, Init, Judge, Problems

ROW, LANE, MARGIN = 36, 26, 18


@dataclass(frozen=True)
class Node:
    """One ancestor: problems, base model, demonstrations, a policy or a judge."""

    name: str
    kind: str
    sources: tuple[str, ...]
    """The nodes it was made of."""
    content: Problems | Judge | Ancestor
    reference: str | None = None
    """The policy it was held close to, where that is not its parent."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The nodes, and the line to all held close to one policy, that lead to it."""
        return (*self.sources, f"reference {self.reference}") if self.reference else self.sources


@dataclass(frozen=True)
class PlacedNode:
    """A node and its middle."""

    node: Node
    x: int
    y: int


@dataclass(frozen=True)
class Edge:
    """A line from one node to another, as an SVG path."""

    kind: str
    path: str


@dataclass(frozen=True)
class Picture:
    """The whole drawing."""

    nodes: list[PlacedNode]
    edges: list[Edge]
    row: int
    """Height of a row."""
    width: int
    height: int


def picture(answer: Ancestors) -> Picture:
    """Nodes with their places, edges, and the size of it all."""
    nodes = list(_nodes(answer))
    rows = {node.name: place for place, node in enumerate(nodes)}
    lanes = _lanes(nodes, rows, answer.policy)
    points = {n: (MARGIN + LANE * lanes[n], ROW * row + ROW // 2) for n, row in rows.items()}
    edges = []
    for node in nodes:
        for source in node.sources:
            x = max(points[source][0], points[node.name][0])
            kind = "judge" if source.startswith("judge ") else "parent"
            edges.append(Edge(kind, _path(points[source], x, points[node.name])))
        if node.reference:
            x = MARGIN + LANE * lanes[f"reference {node.reference}"]
            edges.append(Edge("reference", _path(points[node.reference], x, points[node.name])))
    return Picture(
        nodes=[PlacedNode(node, *points[node.name]) for node in nodes],
        edges=edges,
        row=ROW,
        width=2 * MARGIN + LANE * max(lanes.values()),
        height=ROW * len(nodes),
    )


def _nodes(answer: Ancestors) -> Iterator[Node]:
    """Every node, each after those it was made of."""
    known = {ancestor.policy for ancestor in answer.generations}
    judges = {judge.judge: judge for judge in answer.judges}
    problems = tuple(f"problems {table.path}" for table in answer.problems)
    for name, table in zip(problems, answer.problems, strict=True):
        yield Node(name, "problems", (), table)
    drawn = set()
    for ancestor in answer.generations:
        if isinstance(ancestor.origin, Init):
            yield from _init(ancestor, ancestor.origin, problems)
            continue
        judge = judges.get(ancestor.origin.judge)
        if judge and judge.judge not in drawn:
            drawn.add(judge.judge)
            above = dict.fromkeys(name for name in (judge.base, judge.sampled_by) if name in known)
            sources = tuple(name for name in above if name is not None)
            yield Node(f"judge {judge.judge}", "judge", sources, judge)
        yield _round(ancestor, known, judge)


def _init(ancestor: Ancestor, origin: Init, problems: tuple[str, ...]) -> Iterator[Node]:
    policy = ancestor.policy
    demos, base = f"demonstrations {policy}", f"base {policy}"
    if origin.demonstrations:
        yield Node(demos, "demonstrations", problems, ancestor)
    yield Node(base, "base", (), ancestor)
    sources = (base, demos) if origin.demonstrations else (base,)
    yield Node(policy, "policy", sources, ancestor)


def _round(ancestor: Ancestor, known: set[str], judge: Judge | None) -> Node:
    origin = ancestor.origin
    assert not isinstance(origin, Init)
    sources = [origin.parent] if origin.parent in known and origin.parent is not None else []
    if judge:
        sources.append(f"judge {judge.judge}")
    is_apart = origin.reference in known and origin.reference != origin.parent
    reference = origin.reference if is_apart else None
    return Node(ancestor.policy, "policy", tuple(sources), ancestor, reference)


def _lanes(nodes: Sequence[Node], rows: Mapping[str, int], policy: str) -> dict[str, int]:
    """The lane of each node, and of the line to all policies held close to the same one."""
    sources = {node.name: node.sources for node in nodes}
    lanes = dict.fromkeys(_chain(sources, policy), 0)
    ends = dict(rows)
    for node in nodes:
        if node.reference:
            sources[f"reference {node.reference}"] = (node.reference,)
        for needed in node.needs:
            ends[needed] = rows[node.name]
    starts = {}
    for name in ends:
        starts[name] = min(rows[above] for above in (name, *sources[name]) if above in rows)
    order = sorted(
        ends.keys() - lanes.keys(), key=lambda name: (rows.get(name, starts[name]), name)
    )
    taken: list[tuple[int, int, int]] = []
    for name in order:
        start, end = starts[name], ends[name]
        first = sources[name][0] if len(sources[name]) == 1 else None
        if first is not None and ends[first] == rows.get(name) and lanes[first]:
            lanes[name], start = lanes[first], rows[name]  # the only one it leads to goes on there
        else:
            busy = {lane for lane, begin, until in taken if begin < end and start < until}
            lanes[name] = next(lane for lane in range(1, len(ends) + 2) if lane not in busy)
        taken.append((lanes[name], start, end))
    return lanes


def _chain(sources: Mapping[str, tuple[str, ...]], policy: str) -> list[str]:
    """A node, the first it was made of that is no judge, and so on."""
    chain = [policy]
    while above := [source for source in sources[chain[-1]] if not source.startswith("judge ")]:
        chain.append(above[0])
    return chain


def _path(source: tuple[int, int], lane: int, target: tuple[int, int]) -> str:
    """From a node into a lane, down the lane, and out of it to another node."""
    (x, y), (to_x, to_y) = source, target
    if to_y - y == ROW or lane == x == to_x:
        return f"M{x} {y}{_curve(x, y, to_x, to_y)}"
    into = "" if lane == x else _curve(x, y, lane, y + ROW)
    down = to_y if lane == to_x else to_y - ROW
    out = "" if lane == to_x else _curve(lane, down, to_x, to_y)
    return f"M{x} {y}{into}V{down}{out}"


def _curve(x: int, y: int, to_x: int, to_y: int) -> str:
    if x == to_x:
        return f"V{to_y}"
    middle = (y + to_y) / 2
    return f"C{x} {middle:g} {to_x} {middle:g} {to_x} {to_y}"

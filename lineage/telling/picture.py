"""The ancestors of a policy as a drawing: one node a row, oldest on top, edges in lanes beside each other.

A row of the drawing stands beside the row of a table. The chain of parents keeps the first lane; every other node takes
the first lane that is free from the first row it was made of to the last row that needs it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ROW, LANE, MARGIN = 36, 26, 18


@dataclass(frozen=True)
class Node:
    """One ancestor: problems, base model, demonstrations, a policy or a judge."""

    name: str
    kind: str
    sources: tuple[str, ...]
    """The nodes it was made of."""
    content: Mapping[str, Any]
    reference: str | None = None
    """The policy it was held close to, where that is not its parent."""


@dataclass(frozen=True)
class Edge:
    """A line from one node to another, as an SVG path."""

    kind: str
    path: str


def picture(found: Mapping[str, Any]) -> dict[str, Any]:
    """Nodes with their places, edges, and the size of it all, from what `show` found."""
    nodes = list(_nodes(found))
    rows = {node.name: place for place, node in enumerate(nodes)}
    lanes = _lanes(nodes, rows, found["policy"])
    points = {name: (MARGIN + LANE * lanes[name], ROW * row + ROW // 2) for name, row in rows.items()}
    edges = []
    for node in nodes:
        for source in node.sources:
            x = max(points[source][0], points[node.name][0])
            kind = "judge" if source.startswith("judge ") else "parent"
            edges.append(Edge(kind, _path(points[source], x, points[node.name])))
        if node.reference:
            x = MARGIN + LANE * lanes[f"reference {node.reference}"]
            edges.append(Edge("reference", _path(points[node.reference], x, points[node.name])))
    placed = [{"node": node, "x": points[node.name][0], "y": points[node.name][1]} for node in nodes]
    return {
        "nodes": placed,
        "edges": edges,
        "row": ROW,
        "width": 2 * MARGIN + LANE * max(lanes.values()),
        "height": ROW * len(nodes),
    }


def _nodes(found: Mapping[str, Any]) -> Iterator[Node]:
    """Every node, each after those it was made of."""
    known = {entry["policy"] for entry in found["generations"]}
    judges = {entry["judge"]: entry for entry in found["judges"]}
    problems = tuple(f"problems {entry['path']}" for entry in found["problems"])
    for name, entry in zip(problems, found["problems"], strict=True):
        yield Node(name, "problems", (), entry)
    shown = set()
    for entry in found["generations"]:
        judge = judges.get(entry.get("judge", ""))
        if judge and judge["judge"] not in shown:
            shown.add(judge["judge"])
            above = dict.fromkeys(source for source in (judge["base"], judge["sampled_by"]) if source in known)
            yield Node(f"judge {judge['judge']}", "judge", tuple(above), judge)
        yield from _generation(entry, problems, known, judge)


def _generation(
    entry: Mapping[str, Any], problems: tuple[str, ...], known: set[str], judge: Mapping[str, Any] | None
) -> Iterator[Node]:
    policy = entry["policy"]
    if entry["kind"] == "init":
        demos, base = f"demonstrations {policy}", f"base {policy}"
        if entry["demonstrations"]:
            yield Node(demos, "demonstrations", problems, entry)
        yield Node(base, "base", (), entry)
        yield Node(policy, "policy", (base, *([demos] if entry["demonstrations"] else [])), entry)
        return
    parent = [entry["parent"]] if entry["parent"] in known else []
    reference = entry["reference"] if entry["reference"] in known - {entry["parent"]} else None
    yield Node(policy, "policy", (*parent, *([f"judge {judge['judge']}"] if judge else [])), entry, reference)


def _lanes(nodes: list[Node], rows: Mapping[str, int], policy: str) -> dict[str, int]:
    """The lane of each node, and of the line to all policies held close to the same one."""
    sources = {node.name: node.sources for node in nodes}
    lanes, at = {}, policy
    while at not in lanes:
        lanes[at] = 0
        at = next((source for source in sources[at] if not source.startswith("judge ")), at)
    ends = dict(rows)
    for node in nodes:
        held = f"reference {node.reference}"
        if node.reference:
            sources[held] = (node.reference,)
        for needed in [*node.sources, *([held] if node.reference else [])]:
            ends[needed] = rows[node.name]
    starts = {name: min(rows[source] for source in (name, *sources[name]) if source in rows) for name in ends}
    taken: list[tuple[int, int, int]] = []
    for name in sorted(ends.keys() - lanes.keys(), key=lambda name: (rows.get(name, starts[name]), name)):
        start, end = starts[name], ends[name]
        if len(sources[name]) == 1 and ends[sources[name][0]] == rows.get(name) and lanes[sources[name][0]]:
            lanes[name], start = lanes[sources[name][0]], rows[name]  # the only one it leads to goes on in its lane
        else:
            busy = {lane for lane, begin, until in taken if begin < end and start < until}
            lanes[name] = next(lane for lane in range(1, len(ends) + 2) if lane not in busy)
        taken.append((lanes[name], start, end))
    return lanes


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

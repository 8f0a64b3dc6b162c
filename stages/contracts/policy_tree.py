"""The tree of policies: who descends from whom, by what recipes."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from stages.contracts.params.base import Section
from stages.contracts.params.round import Round

Rounds = Mapping[str, Round]


class Branch(NamedTuple):
    """Policies each trained from the one before, and the branches that fork from the last."""

    policies: list[str]
    branches: list["Branch"]


def ancestors(rounds: Rounds, policy: str) -> list[str]:
    """The policy's line from itself to its init.

    Raises:
        ValueError: the line comes back to itself.
    """
    line = [policy]
    while line[-1] in rounds:
        parent = rounds[line[-1]].parent
        if parent in line:
            raise ValueError(f"rounds.{policy}.parent: circular: {' -> '.join([*line, parent])}")
        line.append(parent)
    return line


def chains(rounds: Rounds) -> list[list[str]]:
    """The rounds from an init down to each policy that no round starts from."""
    parents = {entry.parent for entry in rounds.values()}
    leaves = [name for name in rounds if name not in parents]
    return [list(reversed(ancestors(rounds, leaf)))[1:] for leaf in leaves]


def recipe_names(rounds: Rounds, chain: list[str]) -> list[str]:
    """The recipes along a chain, each once."""
    return list(dict.fromkeys(rounds[name].recipe for name in chain))


def replicates(
    inits: Mapping[str, Section], rounds: Rounds, examined: Iterable[str]
) -> list[list[str]]:
    """The examined policies, together where they differ in seeds only.

    Such policies have equal inits, and behind these equal recipes and judges.
    """
    alike: dict[str, list[str]] = {}
    for policy in examined:
        *line, init = ancestors(rounds, policy)
        start = inits[init].model_dump_json(exclude={"seed"})
        taken = [(rounds[name].recipe, rounds[name].judge) for name in line]
        alike.setdefault(f"{start} {taken}", []).append(policy)
    return [*alike.values()]


def branch(rounds: Rounds, policy: str) -> Branch:
    """The line from a policy down to where it ends or forks, and the branches from there."""
    line = [policy]
    while len(below := [name for name, entry in rounds.items() if entry.parent == line[-1]]) == 1:
        line += below
    return Branch(line, [branch(rounds, name) for name in below])

"""dvc.lock as a graph: makers, parents, ancestors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lineage.record.audit import open_audit
from lineage.record.errors import AuditError
from lineage.record.graph import Graph, policy_file
from lineage.record.lock import File, Step


def steps(*listed: tuple[str, str, list[str], list[str]]) -> dict[str, Step]:
    """Steps of name, command, paths read and written; a path that ends in `/` is a folder."""
    by_name = {}
    for name, command, deps, outs in listed:
        by_name[name] = Step(name, command, tuple(files(deps)), tuple(files(outs)), {})
    return by_name


def files(paths: list[str]) -> Iterator[File]:
    for path in paths:
        yield File(path.rstrip("/"), "0" * 32 + ".dir" * path.endswith("/"), 1)


@pytest.fixture
def graph() -> Graph:
    """A first policy, two rounds, one of a branch, and a step that reads a folder of them all."""
    return Graph.of(
        steps(
            (
                "update@b",
                "python --policy d/p/a --next-policy d/p/b",
                ["d/p/a/", "d/b.parquet"],
                ["d/p/b/", "d/m/b.json"],
            ),
            ("rollout@b", "python --policy d/p/a", ["d/p/a/weights"], ["d/b.parquet"]),
            ("sft@a", "python --policy d/p/a", ["d/problems"], ["d/p/a/"]),
            (
                "update@c",
                "python --policy d/p/a --next-policy d/p/c",
                ["d/p/a/"],
                ["d/p/c/", "d/m/c.json"],
            ),
            ("prepare", "python", ["stages/prepare.py"], ["d/problems"]),
            ("report", "python", ["d/m/", "d/m"], ["d/report"]),
        )
    )


def names(listed: list[Step]) -> list[str]:
    return [step.name for step in listed]


def test_a_maker_is_known_by_a_file_inside_its_folder(graph: Graph) -> None:
    for path in ("d/p/a", "d/p/a/weights", "d/p/a/deep/file"):
        maker = graph.maker(path)
        assert maker is not None
        assert maker.name == "sft@a"
    assert graph.maker("d/p/ab") is None
    assert graph.maker("stages/prepare.py") is None


def test_parents_are_named_once(graph: Graph) -> None:
    assert names(graph.parents(graph.steps["update@b"])) == ["sft@a", "rollout@b"]
    assert names(graph.parents(graph.steps["prepare"])) == []


def test_a_folder_that_no_step_made_has_all_makers_inside_as_parents(graph: Graph) -> None:
    assert names(graph.parents(graph.steps["report"])) == ["update@b", "update@c"]


def test_ancestors_stand_after_their_parents_and_no_other_branch_is_among_them(
    graph: Graph,
) -> None:
    assert names(graph.ancestors(graph.policy("b"))) == [
        "prepare",
        "sft@a",
        "rollout@b",
        "update@b",
    ]
    assert names(graph.ancestors(graph.policy("b"), graph.policy("c")))[-1] in (
        "update@b",
        "update@c",
    )


def test_a_circle_is_shown() -> None:
    graph = Graph.of(steps(("x", "python", ["b"], ["a"]), ("y", "python", ["a"], ["b"])))
    with pytest.raises(AuditError, match=r"circle: \w <- \w <- \w"):
        graph.ancestors(graph.steps["x"])


def test_a_step_that_reads_what_it_writes_is_no_parent_of_itself() -> None:
    graph = Graph.of(steps(("x", "python", ["a"], ["a"])))
    assert names(graph.ancestors(graph.steps["x"])) == ["x"]


def test_policies_are_named_by_their_step(graph: Graph) -> None:
    assert {name: step.name for name, step in graph.policies.items()} == {
        "a": "sft@a",
        "b": "update@b",
        "c": "update@c",
    }
    assert policy_file(graph.policy("a")).path == "d/p/a"
    assert policy_file(graph.policy("b")).path == "d/p/b"
    with pytest.raises(
        AuditError, match=r"no policy z in dvc\.lock; choose from \['a', 'b', 'c'\]"
    ):
        graph.policy("z")


def test_a_policy_that_is_no_output_is_refused() -> None:
    graph = Graph.of(steps(("sft@a", "python --policy elsewhere", [], ["d/p/a/"])))
    with pytest.raises(AuditError, match="step sft@a names no policy among its outputs"):
        policy_file(graph.policy("a"))


def test_steps_of_one_round(graph: Graph) -> None:
    assert {group: step.name for group, step in graph.of_key("b").items()} == {
        "update": "update@b",
        "rollout": "rollout@b",
    }


def test_a_real_round_has_every_step_before_it(audited: Path) -> None:
    graph = open_audit(audited, None).graph
    steps = set(names(graph.ancestors(graph.policy("s1"))))
    groups = ("rollout", "score", "probe", "infogain", "validate", "update")
    rounds = {f"{group}@{key}" for group in groups for key in ("i1", "s1")}
    assert steps == {"code", "prepare", "demonstrate@r0", "sft@r0", *rounds}
    everything = set(names(graph.ancestors(graph.steps["report"])))
    assert everything == set(graph.steps)

"""The audit knows tables by the flags of steps: dvc.yaml must have each of them."""

import ast
import re
from pathlib import Path

import yaml

from fixtures.checkouts import ROOT
from lineage.record.flags import EXAM_STEPS, READ_OF, Flag
from lineage.record.graph import POLICY_FLAGS


def flags_in_the_graph() -> dict[str, set[str]]:
    """The flags of each stage's command."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    commands = {name: stage.get("do", stage)["cmd"] for name, stage in stages.items()}
    flags = {}
    for name, command in commands.items():
        flags[name] = {flag.replace("-", "_") for flag in re.findall(r"--([\w-]+)", command)}
    return flags


def uses() -> dict[str, set[Path]]:
    """The flags that files of the audit read, by name."""
    files: dict[str, set[Path]] = {}
    for file in (ROOT / "lineage").rglob("*.py"):
        if file.name != "flags.py":
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Flag":
                    files.setdefault(node.attr, set()).add(file)
    return files


def test_every_flag_that_the_audit_reads_is_one_of_the_step() -> None:
    known = flags_in_the_graph()
    for step, flags in READ_OF.items():
        assert {*flags} <= known[step], f"a flag of {step} was renamed: past commits keep the old"


def test_every_flag_is_read_of_some_step_and_by_some_file() -> None:
    assert {flag for flags in READ_OF.values() for flag in flags} == {*Flag}
    assert uses().keys() == {flag.name for flag in Flag}


def test_steps_that_the_audit_names_are_in_the_graph() -> None:
    assert {*EXAM_STEPS, *POLICY_FLAGS} <= flags_in_the_graph().keys()
    for step, flag in POLICY_FLAGS.items():
        assert flag in READ_OF[step]


def test_flags_are_read_by_no_other_name() -> None:
    """`flags["demos"]` would pass the other tests unseen."""
    by_text = re.compile(r"""(?:flags\.get\(|flags\[|written\(|source\(\w+, )["']""")
    for file in (ROOT / "lineage").rglob("*.py"):
        assert not by_text.search(file.read_text()), file

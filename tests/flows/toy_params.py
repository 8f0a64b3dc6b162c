"""A check of params.yaml for toy projects, whose params are not those of the method."""

from pathlib import Path

from flows.project.params_file import CHECKER, SOURCE_CHECKER

PROGRAM = """
import sys, yaml

if not isinstance(yaml.safe_load(open(sys.argv[-1])), dict):
    sys.exit(2)
"""


def write_checker(project: Path) -> None:
    """Put in the project what checks its params.yaml: any mapping will do."""
    for checker in (CHECKER, SOURCE_CHECKER):
        *packages, module = checker.split(".")
        folder = project.joinpath(*packages)
        folder.mkdir(parents=True, exist_ok=True)
        for depth in range(len(packages)):
            project.joinpath(*packages[: depth + 1], "__init__.py").touch()
        (folder / f"{module}.py").write_text(PROGRAM)

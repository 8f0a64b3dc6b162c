"""YAML as DVC reads and writes it, version 1.2: in 1.1 `010` is 8, `1:30` 90, and `no` False."""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from lineage.record.errors import AuditError
from lineage.record.tree import Tree

CONFLICT = re.compile(rb"^(<<<<<<< |=======\r?$|>>>>>>> |\|\|\|\|\|\|\| )", re.MULTILINE)
"""What git begins the lines with that it leaves where two branches disagree."""


def parsed(content: bytes, where: str) -> Any:
    """The content of a file of DVC's, or of params.yaml.

    Raises:
        AuditError: it is no YAML; says on which line, and whether a merge left it so.
    """
    conflict = _conflict(content)
    if conflict:
        raise AuditError(
            f"{where}, line {conflict}: a merge conflict; resolve it, then `dvc checkout`"
        )
    try:
        return YAML(typ="safe").load(content.decode("utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}," if mark else ""
        raise AuditError(f"{where}{line} is not YAML: {error.problem}") from None
    except RecursionError:
        raise AuditError(f"{where} is not YAML: nested too deep") from None
    except (YAMLError, ValueError) as error:
        raise AuditError(f"{where} is not YAML: {' '.join(str(error).split())}") from None


def place(tree: Tree, path: str) -> str:
    """A file as a message names it: of the working tree, or of which commit."""
    return path if tree.root else f"{path} at {tree.commit[:12]}"


def _conflict(content: bytes) -> int | None:
    """The first line of a merge conflict; None where there is none."""
    found = CONFLICT.search(content)
    return content.count(b"\n", 0, found.start()) + 1 if found else None

"""YAML as DVC reads it, version 1.2, so that a stage uses what dvc.lock says it used.

In version 1.1, which PyYAML reads, `010` is 8, `1:30` is 90, and `no` is False.
"""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, ScalarNode
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from stages.running.errors import BadInput
from stages.running.printable import printable

MAX_SHOWN = 200  # characters of a value that is wrong
OTHER_VERSION = re.compile(r"^%YAML\s+(?!1\.2\s*$).*$", re.MULTILINE)


def parsed(text: str, path: Path) -> Any:
    """The content of params.yaml, its values unchecked.

    Raises:
        BadInput: it is no YAML of version 1.2; says on which line.
    """
    other = OTHER_VERSION.search(text)
    if other:
        line = text.count("\n", 0, other.start()) + 1
        raise BadInput(
            f"{path}, line {line}: {shortened(other[0])}: DVC reads version 1.2 whatever this "
            "says; delete the line"
        )
    try:
        return YAML(typ="safe").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        why = shortened(" ".join(str(error.problem or error.context).split()))
        raise BadInput(f"{where}: not valid YAML: {why}") from None
    except RecursionError:
        raise BadInput(f"{path} is not valid YAML: nested too deep") from None
    except YAMLError as error:
        why = shortened(" ".join(str(error).split()))
        raise BadInput(f"{path} is not valid YAML: {why}") from None
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{path}{_place_of_wrong_value(text)}: not valid YAML: {error}") from None


def shortened(text: str, limit: int = MAX_SHOWN) -> str:
    """The text fit for a message: without control characters, and cut where it is long."""
    more = f"… {len(text):,} characters in all" if len(text) > limit else ""
    return printable(text[:limit]) + more


def shown(value: Any) -> str:
    """A wrong value as a message shows it."""
    try:
        return shortened(repr(value))
    except ValueError:  # Python writes no integer of so many digits
        return f"an integer of {value.bit_length():,} bits"


def _place_of_wrong_value(text: str) -> str:
    """Where the first value stands that looks like a number or a date and is none."""
    yaml = YAML(typ="safe")
    pending, seen = [yaml.compose(text)], set()
    while pending:
        node = pending.pop()
        if isinstance(node, tuple):
            pending += reversed(node)
        elif id(node) not in seen and not isinstance(node, ScalarNode):
            seen.add(id(node))
            pending += reversed(node.value)
        elif isinstance(node, ScalarNode):
            try:
                yaml.constructor.construct_object(node)
            except (ValueError, OverflowError):
                return f", line {node.start_mark.line + 1}: {shortened(node.value)}"
    return ""

"""What counts as a change of a definition, and what only moves."""

import pytest

from benchmarks.code.changes import CONTENT, PROGRAM, REST, Change, changed_names, read_source

SOURCE = '''\
"""A module."""

from typing import TYPE_CHECKING

import numpy as np
from stages.numbers import double

if TYPE_CHECKING:
    from stages.kinds import Kind

ONE, TWO = 1, 2
"""Numbers."""
SIZE: int = TWO


@double
def area(kind: Kind) -> int:
    """Its area."""
    return np.abs(SIZE)


class Box:
    """A box."""

    side = ONE


print(Box)

if __name__ == "__main__":
    area(1)
'''


def changes(before: str, after: str, path: str = "a.py") -> Change:
    return Change(path, before.encode(), after.encode())


def names(*changes: Change) -> set[tuple[str, str]]:
    return set(changed_names(changes))


def test_a_file_is_read_by_its_definitions() -> None:
    source = read_source(SOURCE.encode())
    assert source.definitions.keys() == {"ONE", "TWO", "SIZE", "area", "Box", REST, PROGRAM} | {
        "import TYPE_CHECKING"
    }
    assert source.imports["np"] == ("numpy", "")
    assert source.imports["Kind"] == ("stages.kinds", "Kind")
    assert {"double", "np", "SIZE", "Kind"} <= source.uses["area"]


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ('"""Its area."""', '"""The area."""', set()),
        ('"""Numbers."""', "# numbers", set()),
        ("np.abs(SIZE)", "np.sign(SIZE)", {"area"}),
        ("@double\n", "", {"area", "import double"}),
        ("side = ONE", "side = TWO", {"Box"}),
        ("ONE, TWO = 1, 2", "ONE, TWO = 1, 3", {"ONE", "TWO"}),
        ("class Box:", "class Crate:", {"Box", "Crate"}),
        ("print(Box)", "print(area)", {REST}),
        ("    area(1)", "    area(2)", {PROGRAM}),
        ("from stages.numbers", "from stages.figures", {"area"}),
        ("import numpy as np", "import torch as np", {"area"}),
        ("stages.kinds", "stages.types", {"area"}),
        ("import numpy as np", "import numpy as np\nimport os", {"import os"}),
    ],
)
def test_a_change_is_of_the_definitions_whose_tokens_or_imports_differ(
    old: str, new: str, changed: set[str]
) -> None:
    assert SOURCE.count(old) == 1 or old == "print(Box)"
    assert names(changes(SOURCE, SOURCE.replace(old, new, 1))) == {("a.py", n) for n in changed}


def test_a_new_file_is_changed_in_all_it_defines() -> None:
    assert names(changes("", "x = 1\n")) == {("a.py", "x")}


def test_what_is_no_python_is_changed_as_a_whole() -> None:
    assert names(changes("[1]", "[2]", "a.json")) == {("a.json", CONTENT)}


def test_a_definition_that_moves_as_it_is_is_no_change() -> None:
    used = "def area(x):\n    return x\n\n\ndef size(x):\n    return area(x)\n"
    left = "from b import area\n\n\ndef size(x):\n    return area(x)\n"
    gone = "def area(x):\n    return x\n"
    assert names(changes(used, left), changes("", gone, "b.py")) == set()
    edited = gone.replace("return x", "return -x")
    assert names(changes(used, left), changes("", edited, "b.py")) == {
        ("a.py", "area"),
        ("a.py", "size"),
        ("b.py", "area"),
    }


def test_whence_a_moved_name_is_imported_makes_no_difference() -> None:
    area = "def area(x):\n    return x\n"
    before, after = (f"from {module} import area\n\nSIZE = area(1)\n" for module in ("a", "b"))
    moved = changes(area, ""), changes("", area, "b.py")
    assert names(*moved, changes(before, after, "c.py")) == set()
    assert names(changes(before, after, "c.py")) == {("c.py", "SIZE")}

"""The listing of a step's code: which edits it shows; the audit computes the same digests.

What stands in which listing, `tests/test_graph.py` has.
"""

import json
from pathlib import Path

import pytest

from fixtures.checkouts import ROOT
from lineage.record.code_digest import code_digest, listed_digest
from stages import code
from stages.running.sources import code_digest as listing_digest

PARAMS = ROOT / "params.yaml"
FOLDERS = ("benchmarks", "experiments", "flows", "lineage", "stages", "tests")
SOURCES = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
STEP = '''\
"""A step."""

from stages.shared import double

TEMPLATE = "page.j2"
"""Its page."""


def main(count: int) -> str:
    """Say it."""
    return f"{double(count)!r:>{count}} {{}}"  # at the right
'''
SHARED = "def double(x):\n    return 2 * x\n"
BY_HAND = [
    STEP,
    SHARED,
    "",
    "\n\n# nothing\n",
    '"""Text alone."""',
    "x = 1",
    "\ufeffx = 1\r\n",
    "# coding: latin-1\nx = '\xe4'\n",
    "class A:\n    'a'\n    x: int = 1\n    r'b' 'c'\n\n    def f(self):\n        pass\n",
    "def f(): 'a'\nx = 1; 'b'\n('c')\nb'd'\nf'e'\n",
    "f'{x!r:>{y}}' f\"{f'{z}'}\" + rf'''\n{a} {{b}}\n'''\n",
    "x = f'''{\n    1\n}''' 'a' \\\n    'b'\n",
    "\N{GREEK SMALL LETTER ALPHA} = f'\N{GREEK SMALL LETTER ALPHA}{x}\N{GREEK SMALL LETTER ALPHA}'",
]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A step with a shared file and a template, in an empty project."""
    monkeypatch.setattr(code, "ROOT", tmp_path)
    for name, text in {
        "stages/step.py": STEP,
        "stages/shared.py": SHARED,
        "stages/page.j2": "{{ page }}\n",
        "stages/__init__.py": '"""The steps."""\n',
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def listing(tree: Path) -> dict[str, str]:
    for cached in (code.nodes, code.digest, code.imported_files, code.data_of):
        cached.cache_clear()
    code.main(tree / "listings", PARAMS)
    read = json.loads((tree / "listings/step.json").read_text())
    assert list(read) == sorted(read)
    return read


def test_the_audit_computes_the_same_digest_of_every_file_listed() -> None:
    listed = set.union(*map(code.files_of, code.steps()))
    assert {file.suffix for file in listed} >= {".py", ".json", ".j2"}
    for file in listed:
        assert code.digest(file) == listed_digest(file.name, file.read_bytes()), file


def test_the_audit_computes_the_same_digest_of_all_code() -> None:
    assert len(SOURCES) > 300
    for file in SOURCES:
        assert listing_digest(file.read_bytes()) == code_digest(file.read_bytes()), file


@pytest.mark.parametrize("text", BY_HAND)
def test_the_audit_computes_the_same_digest_of_odd_code(text: str) -> None:
    encoding = "latin-1" if "latin-1" in text else "utf-8"
    digests = [digest(text.encode(encoding)) for digest in (listing_digest, code_digest)]
    assert len({*digests}) == 1


def test_a_listing_has_each_file_of_code_and_data_and_no_empty_package(tree: Path) -> None:
    assert listing(tree).keys() == {"stages/page.j2", "stages/shared.py", "stages/step.py"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # at the right", "  # at the left"),
        ('"""A step."""', '"""A step\n\nof two.\n"""\n# why'),
        ('"""Say it."""', '"""Say something else."""'),
        ('    """Say it."""\n', ""),
        ('"""Its page."""\n', ""),
        ("\n\n\ndef", "\n\n\n\n# why\ndef"),
    ],
)
def test_what_is_written_about_code_is_not_listed(tree: Path, old: str, new: str) -> None:
    before = listing(tree)
    assert STEP.count(old) == 1
    (tree / "stages/step.py").write_text(STEP.replace(old, new))
    assert listing(tree) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("step.py", "count)!r", "count)!s"),
        ("step.py", "def main", "LEFT = 1\n\n\ndef main"),
        ("shared.py", "2 * x", "x * 2"),
        ("shared.py", "2 * x", "'''2 * x'''"),
        ("page.j2", "{{ page }}", "{{ page }} {# a comment #}"),
    ],
)
def test_an_edit_of_code_or_data_changes_its_own_digest(
    tree: Path, name: str, old: str, new: str
) -> None:
    before = listing(tree)
    file = tree / "stages" / name
    assert file.read_text().count(old) == 1
    file.write_text(file.read_text().replace(old, new))
    after = listing(tree)
    assert {path for path in before if after[path] != before[path]} == {f"stages/{name}"}


def test_code_that_is_not_python_is_named(tree: Path) -> None:
    (tree / "stages/shared.py").write_text("def :\n")
    with pytest.raises(code.BadInput, match=r"stages/shared\.py is not Python .*line 1"):
        listing(tree)


def test_params_are_checked_before_anything_is_listed(tree: Path) -> None:
    (tree / "params.yaml").write_text("task: {}\n")
    with pytest.raises(code.BadInput, match=r"params\.yaml"):
        code.main(tree / "listings", tree / "params.yaml")
    assert not (tree / "listings").exists()


def test_a_module_imported_by_its_name_may_be_any_of_its_package(tree: Path) -> None:
    for name, text in {
        "stages/step.py": (
            "from importlib import import_module\n\n\ndef main(name):\n"
            '    return import_module(f"stages.kinds.{name}")\n'
        ),
        "stages/kinds/__init__.py": "",
        "stages/kinds/one.py": "from stages.shared import double\n",
        "stages/kinds/other.py": "x = 1\n",
    }.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    files = {file.relative_to(tree).as_posix() for file in code.closure(tree / "stages/step.py")}
    expected = {f"stages/{name}.py" for name in ("step", "kinds/one", "kinds/other", "shared")}
    assert files - {"stages/__init__.py"} == expected

"""Data Docs: values of tables stay text, in a real browser too; a clone makes equal pages."""

import copy
import re
from pathlib import Path

import pytest

from stages.running.errors import BadInput
from stages.running.publish import write_json
from stages.validate import docs
from tests.browser import Browser
from tests.validate.corruptions import put
from tests.validate.gate import run, write_unchecked
from tests.validate.sound_round import NAMES, Rows

IMAGE = "<img src=x onerror=console.error('ran')>"
SCRIPT = "</td><script>console.error('ran')</script>"
CALL = "javascript:console.error('ran')"
PLANTED = (
    ("rollouts", "finish_reason", IMAGE),
    ("scores", "verdict", SCRIPT),
    ("segments", "kind", f"'\"{IMAGE}{{{{ 7 * 7 }}}}"),
    ("problems", "task", CALL),
    ("rollouts", "policy_id", SCRIPT),
)


@pytest.fixture
def pages(tmp_path: Path, workplace: Path, sound: Rows) -> Path:
    """The Data Docs of a round with markup planted in its tables."""
    rows = copy.deepcopy(sound)
    for table, column, text in PLANTED:
        put(table, column, text)(rows)
    write_unchecked(tmp_path, rows)
    with pytest.raises(BadInput):
        run(tmp_path, workplace / "r0", workplace / "params.yaml", tmp_path / "docs")
    return tmp_path / "docs"


def test_planted_markup_stays_text(pages: Path) -> None:
    texts = {page.name: page.read_text(encoding="utf-8") for page in pages.iterdir()}
    assert texts.keys() == {"index.html", *(f"{name}.html" for name in NAMES)}
    for text in texts.values():
        assert '<meta http-equiv="Content-Security-Policy" content="default-src ' in text
        assert not re.search(r"<(script|img|iframe|link|object)", text)
        assert not re.search(r"href=\"(?!\w+\.html\")", text)
    assert "&lt;img src=x onerror=" in texts["rollouts.html"]
    assert "{{ 7 * 7 }}" in texts["segments.html"]


def test_a_browser_runs_nothing_of_it(pages: Path, browser: Browser) -> None:
    for name in ("index", *NAMES):
        dom, console, requests = browser.open(pages / f"{name}.html", "--dump-dom")
        assert (console, requests) == ([], []), name
        assert "<script" not in dom
        assert "Round i1" in dom


def test_a_clone_makes_the_same_pages(tmp_path: Path, workplace: Path, sound: Rows) -> None:
    write_unchecked(tmp_path, sound)
    run(tmp_path, workplace / "r0", workplace / "params.yaml", tmp_path / "docs")
    docs.main("i1", tmp_path / "validation.json", tmp_path / "again")
    for name in ("index", *NAMES):
        made = [(tmp_path / folder / f"{name}.html").read_text() for folder in ("docs", "again")]
        assert made[0] == made[1]
        assert "broken</span>" not in made[0]


@pytest.mark.parametrize("tables", [{"../../out": {}}, [], None])
def test_what_the_gate_did_not_write_is_refused(tables: object, tmp_path: Path) -> None:
    write_json(tmp_path / "validation.json", {"success": True, "tables": tables})
    with pytest.raises(BadInput, match="is not what the gate writes"):
        docs.main("i1", tmp_path / "validation.json", tmp_path / "docs")
    assert not (tmp_path / "docs").exists()

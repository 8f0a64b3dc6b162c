"""The page without a server: what it has, what it says of that, and that a browser opens it."""

import re
from pathlib import Path

import pytest

from reading.database import Database
from reading.errors import NotThere
from reading.offline import sample, write
from tests.browser import Browser


def names(database: Database, num_rollouts: int) -> dict[str, list[str]]:
    parts = sample(database, "rounds/i1", num_rollouts).parts
    return {part.title: [each.rollout_id for each in part.rollouts] for part in parts}


def test_half_tells_most_and_the_rest_is_drawn(database: Database) -> None:
    assert names(database, 6) == {
        "Where knowledge came": ["i1/p/0"],
        "Where it was lost": ["i1/q/0"],
        "Where the policy fooled itself": [],
        "Drawn at random": ["i1/p/1"],
    }
    assert len(names(database, 2)["Drawn at random"]) == 2


def test_the_page_says_of_how_many_it_is_a_sample(database: Database, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert write(database, page, 2) == "2 of 3 rollouts of 1 rounds"
    text = page.read_text()
    assert "A sample: 2 of 3 rollouts of 1 rounds." in text
    assert text.count("<details id=") == 2
    assert "<script" not in text
    assert "\x1b" not in text
    first = page.read_bytes()
    write(database, page, 2)
    assert page.read_bytes() == first


def test_a_browser_opens_it_without_a_word_or_a_request(
    database: Database, browser: Browser, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    write(database, page, 6)
    dom, console, requested = browser.open(page, "--dump-dom")
    assert (console, requested) == ([], [])
    assert dom.count("<details id=") == 3
    assert "alert(1)" in dom
    assert not re.search(r"<script", dom)


def test_without_a_round_or_a_folder_it_says_so(
    database: Database, tmp_path: Path, data: Path
) -> None:
    with pytest.raises(NotThere, match="no round to show"):
        write(Database(tmp_path), tmp_path / "page.html", 2)
    with pytest.raises(NotThere, match="cannot be written: No such file"):
        write(database, tmp_path / "none" / "page.html", 2)

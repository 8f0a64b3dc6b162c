"""Pages show what they are given as text, and want all that they name."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from stages.running.pages import templates


def test_markup_is_text_and_what_is_missing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("{% if name %}\n  <b>{{ name }}</b>\n{% endif %}\n")
    page = templates(tmp_path).get_template("page")
    assert page.render(name="<i>") == "  <b>&lt;i&gt;</b>\n"
    with pytest.raises(UndefinedError):
        page.render()
